"""What training changes (modules, their averages, optimisers), and the optimiser step that changes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sketchprep.training.ema import Average

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from sketchprep.training.options import Options
    from sketchprep.training.task import Batch, Phase, Task

__all__ = ["State", "checksum", "seed_step", "step"]


class State:
    """The networks of a task, set up for training.

    Attributes
    ----------
    modules : dict of str to nn.Module
        As the task built them: what is saved.
    wrapped : dict of str to nn.Module
        The same parameters behind precision and compilation: what losses call.
    average : Average
    optimisers : dict of str to Optimizer
        One for each phase; phases that share one refer to the same object.
    trained : tuple of str
        Modules that some phase trains.  The others are frozen and stay in eval mode.
    """

    def __init__(self, task: Task, options: Options, fabric: Fabric) -> None:
        import torch

        torch.manual_seed(options.seed)
        self.phases = task.phases()
        self.modules = task.modules()
        self.trained = tuple(n for n in self.modules if any(n in phase.modules for phase in self.phases))
        layout = torch.channels_last if options.channels_last else torch.preserve_format
        for name, module in self.modules.items():
            module.to(device=fabric.device, memory_format=layout).train(name in self.trained)  # type: ignore[call-overload]
            if name not in self.trained:
                module.requires_grad_(False)
        self._trainable = {
            name: [p for p in self.modules[name].parameters() if p.requires_grad] for name in self.trained
        }
        self.average = Average(self.modules, task.averaged, options.ema_half_life)
        self.optimisers = self._optimisers()
        self.wrapped = {
            name: _in_precision(torch.compile(module) if options.compile else module, fabric, module.training)
            for name, module in self.modules.items()
        }

    def _optimisers(self) -> dict[str, Optimizer]:
        made: dict[str, Optimizer] = {}
        for phase in self.phases:
            if isinstance(phase.optimiser, str):
                made[phase.name] = made[phase.optimiser]
            else:
                made[phase.name] = phase.optimiser([p for name in phase.modules for p in self._trainable[name]])
                for group in made[phase.name].param_groups:
                    group["initial_lr"] = group["lr"]
        return made

    def train_only(self, phase: Phase) -> list[nn.Parameter]:
        """Let gradients reach the phase's modules and no others; return what it trains."""
        for name, parameters in self._trainable.items():
            for parameter in parameters:
                parameter.requires_grad_(name in phase.modules)
        return [p for name in phase.modules for p in self._trainable[name]]

    def set_rate(self, factor: float) -> float:
        """Scale every optimiser's learning rate; return the first one's."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor
        return next(iter(self.optimisers.values())).param_groups[0]["lr"]

    @contextmanager
    def in_use(self) -> Iterator[dict[str, nn.Module]]:
        """The modules as they would be used: averaged where there is an average, in eval mode, without gradients."""
        import torch

        modules = {**self.modules, **self.average.modules}
        modes = [(inner, inner.training) for module in modules.values() for inner in module.modules()]
        for module in modules.values():
            module.eval()
        try:
            with torch.no_grad():
                yield modules
        finally:
            for inner, mode in modes:
                inner.training = mode

    def parts(self) -> dict[str, dict[str, Any]]:
        """State by part: ``NAME`` and ``NAME.ema`` hold tensors, ``NAME.optimiser`` an optimiser's state."""
        own = {
            phase.name: self.optimisers[phase.name].state_dict()
            for phase in self.phases
            if not isinstance(phase.optimiser, str)
        }
        return (
            {name: module.state_dict() for name, module in self.modules.items() if name in self.trained}
            | {f"{name}.ema": module.state_dict() for name, module in self.average.modules.items()}
            | {f"{name}.optimiser": values for name, values in own.items()}
        )


def _in_precision(module: Callable[..., Any], fabric: Fabric, training: bool) -> nn.Module:
    """Run a module in the run's precision; what comes out is float32 again, so that losses are."""
    from torch import nn

    class InPrecision(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.training = training

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            with fabric.autocast():
                out = self.module(*args, **kwargs)
            return _float(out)

    return InPrecision()


def _float(out: Any) -> Any:
    if isinstance(out, list | tuple):
        return type(out)(_float(value) for value in out)
    return out.float() if hasattr(out, "is_floating_point") and out.is_floating_point() else out


def checksum(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers: equal before and after training for a frozen module."""
    import torch

    digest = hashlib.sha256()
    value: Tensor
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def step(
    fabric: Fabric, state: State, phase: Phase, batches: Sequence[Batch], *, clip: float | None = None
) -> dict[str, Tensor]:
    """Take one optimiser step of a phase over accumulated batches.

    Parameters
    ----------
    batches : sequence of Batch
        Their mean gradient is used: for losses that are means over pictures and networks without BatchNorm the result
        is that of one larger batch.
    clip : float, optional
        Largest norm of the phase's gradient.

    Returns
    -------
    dict
        Mean of each loss, named ``phase.loss``, and ``phase.total``; detached, on the device.
    """
    import torch

    parameters = state.train_only(phase)
    optimiser = state.optimisers[phase.name]
    optimiser.zero_grad(set_to_none=True)
    sums: dict[str, Tensor] = {}
    for batch in batches:
        losses = phase.loss(state.wrapped, batch)
        losses["total"] = sum((phase.weights.get(name, 1.0) * value for name, value in losses.items()), start=0)  # type: ignore[assignment]
        fabric.backward(losses["total"] / len(batches))
        for name, value in losses.items():
            mean = value.detach().float() / len(batches)
            sums[name] = sums[name] + mean if name in sums else mean
    _average_gradients(fabric, parameters)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimiser.step()
    return {f"{phase.name}.{name}": value for name, value in sums.items()}


def _average_gradients(fabric: Fabric, parameters: Sequence[nn.Parameter]) -> None:
    """All-reduce the gradients to their mean over the processes.

    By hand, once a phase, and not by DistributedDataParallel, whose reducer expects every parameter of a module in
    every backward pass, which a frozen discriminator and an R1 penalty (blind to the last bias) do not give.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if fabric.world_size == 1 or not gradients:
        return
    import torch

    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    flat = fabric.all_reduce(flat, reduce_op="mean")  # type: ignore[assignment]
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view(gradient.shape))


def seed_step(seed: int, images: int, rank: int) -> None:
    """Seed torch's generators from the position in the run, so that checkpoints need not hold their state."""
    import numpy as np
    import torch

    state: Any = np.random.SeedSequence([seed, images, rank]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(state))
