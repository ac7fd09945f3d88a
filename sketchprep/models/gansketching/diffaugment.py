"""Differentiable augmentation: the same random changes for real and generated pictures (Zhao et al., NeurIPS 2020).

Each change comes apart into its random draw and its arithmetic, which gradients pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from sketchprep.errors import UserError

__all__ = ["POLICIES", "DiffAugment", "brightness", "contrast", "cutout", "saturation", "translate", "upscale"]

SHIFT, CUT, ZOOM = 0.125, 0.5, 0.25


class DiffAugment:
    """Random changes by their names.

    Parameters
    ----------
    policy : iterable of str
        Of `POLICIES`: ``"color"``, ``"translation"``, ``"cutout"``, ``"upscale"``, in order.
    fill : float
        What a translation brings in from outside.  The original's 0 is a grey frame around every drawing; 1 is paper.

    Raises
    ------
    UserError
        For an unknown name.
    """

    def __init__(self, policy: Iterable[str], *, fill: float = 0.0) -> None:
        self.policy, self.fill = tuple(policy), fill
        for name in self.policy:
            if name not in POLICIES:
                raise UserError(f"augment={name}: is unknown; known: {', '.join(POLICIES)}")

    def __call__(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) of about -1 to 1, changed by draws of torch's random generator."""
        for name in self.policy:
            x = POLICIES[name](x, self.fill)
        return x


def brightness(x: Tensor, u: Tensor) -> Tensor:
    """Add u - 0.5 to each sample; u of shape (B,) from 0 to 1."""
    return x + (_each(u, x) - 0.5)


def saturation(x: Tensor, u: Tensor) -> Tensor:
    """Scale each pixel's distance from its grey by 2u."""
    grey = x.mean(1, keepdim=True)
    return (x - grey) * (2 * _each(u, x)) + grey


def contrast(x: Tensor, u: Tensor) -> Tensor:
    """Scale each sample's distance from its mean by u + 0.5."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (_each(u, x) + 0.5) + mean


def translate(x: Tensor, down: Tensor, right: Tensor, *, fill: float = 0.0) -> Tensor:
    """Move each sample: ``output[y, x] = input[y + down, x + right]``, `fill` from outside.

    Parameters
    ----------
    down, right : Tensor of int, shape (B,)
    """
    height, width = x.shape[2:]
    pad = max(int(shift.abs().max()) for shift in (down, right))
    padded = functional.pad(x, (pad,) * 4, value=fill)
    rows = torch.arange(height, device=x.device) + pad + down.to(x.device)[:, None]
    columns = torch.arange(width, device=x.device) + pad + right.to(x.device)[:, None]
    samples = torch.arange(len(x), device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Set a square of half the size to 0; `down` and `right` (B,) place its centre, cut off at the borders."""
    height, width = x.shape[2:]
    inside = []
    for offset, side in ((down, height), (right, width)):
        cut = int(side * CUT + 0.5)
        start = offset.to(x.device)[:, None] - cut // 2
        at = torch.arange(side, device=x.device)
        # The original clamps each of the square's rows into the picture, so one outside is the border's.
        low, high = start.clamp(0, side - 1), (start + cut - 1).clamp(0, side - 1)
        inside.append((at >= low) & (at <= high))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return x * ~hole


def upscale(x: Tensor, u: float) -> Tensor:
    """Zoom the whole batch by 1 + 0.25 u, bilinear, and crop the centre."""
    height, width = x.shape[2:]
    zoomed = functional.interpolate(x, scale_factor=1 + ZOOM * u, mode="bilinear", align_corners=False)
    top, left = (zoomed.shape[2] - height) // 2, (zoomed.shape[3] - width) // 2
    return zoomed[:, :, top : top + height, left : left + width]


def _each(u: Tensor, x: Tensor) -> Tensor:
    return u.to(x).view(-1, 1, 1, 1)


def _color(x: Tensor, fill: float) -> Tensor:
    for change in (brightness, saturation, contrast):
        x = change(x, torch.rand(len(x)))
    return x


def _translation(x: Tensor, fill: float) -> Tensor:
    most = [int(side * SHIFT + 0.5) for side in x.shape[2:]]
    return translate(x, *(torch.randint(-m, m + 1, (len(x),)) for m in most), fill=fill)


def _cutout(x: Tensor, fill: float) -> Tensor:
    ends = [side + 1 - int(side * CUT + 0.5) % 2 for side in x.shape[2:]]
    return cutout(x, *(torch.randint(0, end, (len(x),)) for end in ends))


def _upscale(x: Tensor, fill: float) -> Tensor:
    return upscale(x, float(torch.rand(())))


POLICIES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
    "upscale": _upscale,
}
"""Names of the changes."""
