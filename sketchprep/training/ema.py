"""Exponential moving averages of modules: parameters and buffers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Average"]

# Early on the average is taken over a share of what has been seen, so that it never drags the first weights along.
RAMP = 0.1


class Average:
    """Averaged copies of some modules, in eval mode.

    Parameters
    ----------
    modules : mapping of str to nn.Module
        All modules, unwrapped.
    names : iterable of str
        Which of them are averaged.
    half_life : float
        Images after which a state's share has halved; at most a tenth of the images seen so far.
    """

    def __init__(self, modules: Mapping[str, nn.Module], names: Iterable[str], half_life: float) -> None:
        self.half_life = half_life
        self._sources = {name: modules[name] for name in names}
        self.modules = {name: copy.deepcopy(m).eval().requires_grad_(False) for name, m in self._sources.items()}

    def decay(self, images: int, step: int) -> float:
        """Share that the average keeps in the step that ended at `images`."""
        return 0.5 ** (step / max(1e-8, min(self.half_life, images * RAMP)))

    def update(self, images: int, step: int) -> None:
        """Move towards the modules' present state.

        Floating-point buffers, BatchNorm's running statistics for instance, are averaged like parameters, since they
        belong to the averaged weights; counters are copied.
        """
        import torch

        new = 1 - self.decay(images, step)
        with torch.no_grad():
            for name, module in self.modules.items():
                ours, theirs = module.state_dict(), self._sources[name].state_dict()
                floats = [key for key, value in ours.items() if value.is_floating_point()]
                if floats:
                    torch._foreach_lerp_([ours[k] for k in floats], [theirs[k] for k in floats], new)
                for key in ours.keys() - set(floats):
                    ours[key].copy_(theirs[key])
