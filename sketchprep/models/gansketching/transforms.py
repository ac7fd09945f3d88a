"""From pictures to what the sketch discriminator sees: a chain of named steps (Wang et al. 2021)."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from sketchprep.errors import UserError

__all__ = ["bicubic", "chain"]

STEPS = "downN and upN with a number N, toSketch and to3ch"


def chain(text: str, draw: Callable[[Tensor], Tensor] | None = None) -> Callable[[Tensor], Tensor]:
    """Read a chain such as ``"down1,toSketch,up1,to3ch"``.

    Parameters
    ----------
    text : str
        Steps in order, separated by commas: ``downN`` and ``upN`` halve and double N times, ``toSketch`` draws,
        ``to3ch`` repeats one channel three times.
    draw : callable, optional
        What ``toSketch`` is: pictures (B, 3, H, W) to drawings (B, 1, H, W), both -1 to 1.

    Raises
    ------
    UserError
        For an unknown step (the original ignores it), or ``toSketch`` where nothing can draw.
    """
    steps = [_step(name.strip(), draw) for name in text.split(",") if name.strip()]

    def transform(pictures: Tensor) -> Tensor:
        for step in steps:
            pictures = step(pictures)
        return pictures

    return transform


def _step(name: str, draw: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor]:
    if name == "to3ch":
        return lambda x: x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
    if name == "toSketch" and draw is not None:
        return draw
    scaled = re.fullmatch(r"(down|up)([1-9])", name)
    if not scaled:
        raise UserError(f"transform {name}: is unknown here; write {STEPS}")
    return lambda x: bicubic(x, 0.5 if scaled[1] == "down" else 2, times=int(scaled[2]))


def bicubic(x: Tensor, factor: float, *, times: int = 1) -> Tensor:
    """Halve or double the sides `times` times by bicubic interpolation (a = -0.75) without antialiasing.

    So halving takes the taps (-.09375, .59375, .59375, -.09375) at the four nearest pixels, borders repeated.
    """
    for _ in range(times):
        x = torch.nn.functional.interpolate(x, scale_factor=factor, mode="bicubic", align_corners=False)
    return x
