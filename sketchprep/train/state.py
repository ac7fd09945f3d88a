"""Everything that training changes, on its device: modules, their averages, optimisers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sketchprep.train.ema import Average

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from sketchprep.train.options import Options
    from sketchprep.train.phases import Phase, Task

__all__ = ["State", "checksum"]


class State:
    """The networks of a task, set up for training.

    Attributes
    ----------
    modules : dict of str to nn.Module
        As the task built them: what is saved.
    wrapped : dict of str to nn.Module
        The same parameters behind precision, compilation and the exchange of gradients: what losses call.
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
        self.wrapped = {name: self._wrap(name, fabric, options.compile) for name in self.modules}

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

    def _wrap(self, name: str, fabric: Fabric, compile: bool) -> nn.Module:
        import torch

        module = torch.compile(self.modules[name]) if compile else self.modules[name]
        return fabric.setup_module(module) if name in self.trained else _frozen(module, fabric)  # type: ignore[arg-type]

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
        for module in modules.values():
            module.eval()
        try:
            with torch.no_grad():
                yield modules
        finally:
            for name in self.trained:
                self.modules[name].train()

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


def _frozen(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Run a module that is not trained in the run's precision, gradients passing through to its input.

    Fabric's own wrapper cannot be used: between processes it refuses modules without trained parameters.
    """
    from torch import nn

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Any) -> Any:
            with fabric.autocast():
                out = self.module(*args)
            return out.float() if hasattr(out, "float") else out

    return Frozen().eval()


def checksum(module: nn.Module) -> str:
    """Sha256 over all parameters and buffers: proof that a frozen module has not moved."""
    import torch

    digest = hashlib.sha256()
    value: Tensor
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
