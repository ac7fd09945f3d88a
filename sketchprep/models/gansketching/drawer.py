"""Networks that draw a generator's pictures, with gradient: pictures (B, 3, S, S) to drawings (B, 1, S, S), -1 to 1.

The original has PhotoSketch, whose weights nobody may pass on with a package.  Ours is the photocopy filter followed
by the sketch simplifier: three times cheaper, the same for every batch, and what builds draw too.  It is blind where
the filter's ramp is flat; HED sees edges everywhere.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sketchprep.core import weights
from sketchprep.errors import UserError
from sketchprep.nn.photocopy import Photocopy

__all__ = ["DRAWERS", "open_drawer"]

DRAWERS = ("simplifier", "photocopy", "hed", "photosketch")
FILTER_SIZE = 256
"""Smaller pictures are enlarged to this before the photocopy: its lines would fill small faces."""
RADIUS, SHARPNESS = 7.0, 0.8  # of the filter at 256 px, as in the recipe celebamask-hq-256


def open_drawer(
    name: str, *, size: int, weights_file: str | Path | None = None, device: str = "cpu", offline: bool = False
) -> nn.Module:
    """Open a drawer, frozen.

    Parameters
    ----------
    name : str
        One of `DRAWERS`.
    size : int
        Side of the pictures.
    weights_file : path, optional
        Of PhotoSketch, written by `sketchprep import-weights photosketch`.

    Raises
    ------
    UserError
        For an unknown name, or weights that are missing.
    """
    if name not in DRAWERS:
        raise UserError(f"drawer={name}: is unknown; known: {', '.join(DRAWERS)}")
    if name == "photosketch":
        from sketchprep.nn.photosketch import load_photosketch

        if weights_file is None:
            raise UserError(
                "drawer=photosketch: name its weights with drawer_weights=FILE, made by "
                "`sketchprep import-weights photosketch`"
            )
        return load_photosketch(weights_file, device=device)
    made: nn.Module
    if name == "hed":
        from sketchprep.nn.hed import load_hed

        made = _Edges(load_hed(weights.path("hed", offline=offline)))
    elif name == "simplifier":
        from sketchprep.nn.simplifier import load_simplifier

        made = _Photocopied(size, load_simplifier(weights.path("simplifier", offline=offline)))
    else:
        made = _Photocopied(size)
    return made.requires_grad_(False).eval().to(device)


class _Photocopied(nn.Module):
    """The photocopy filter, and the simplifier after it where there is one."""

    def __init__(self, size: int, simplifier: nn.Module | None = None) -> None:
        super().__init__()
        self.factor = max(1, FILTER_SIZE // size)
        scale = size * self.factor / FILTER_SIZE
        self.photocopy = Photocopy(mask_radius=min(50.0, RADIUS * scale), sharpness=SHARPNESS if scale <= 1 else 0.5)
        self.simplifier = simplifier

    def forward(self, x: Tensor) -> Tensor:
        x = (x + 1) / 2
        if self.factor > 1:
            x = functional.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)
        drawn = self.photocopy(x)
        if self.simplifier is not None:
            drawn = 1 - torch.sigmoid(self.simplifier(drawn))
        return 2 * functional.avg_pool2d(drawn, self.factor) - 1


class _Edges(nn.Module):
    """HED: black where an edge is likely."""

    def __init__(self, hed: nn.Module) -> None:
        super().__init__()
        self.hed = hed

    def forward(self, x: Tensor) -> Tensor:
        return 1 - 2 * self.hed((x + 1) * 127.5)[:, None]
