"""Everything that training changes, on its device: modules, their averages, optimisers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sketchprep.training.ema import Average

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from sketchprep.training.options import Options
    from sketchprep.training.task import Phase, Task

__all__ = ["State", "checksum"]


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

        def forward(self, *args: Any, **words: Any) -> Any:
            with fabric.autocast():
                out = self.module(*args, **words)
            return _float(out)

    return InPrecision()


def _float(out: Any) -> Any:
    if isinstance(out, list | tuple):
        return type(out)(_float(value) for value in out)
    return out.float() if hasattr(out, "is_floating_point") and out.is_floating_point() else out


def checksum(module: nn.Module) -> str:
    """Sha256 over all parameters and buffers: proof that a frozen module has not moved."""
    import torch

    digest = hashlib.sha256()
    value: Tensor
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
