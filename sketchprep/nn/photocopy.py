"""The photocopy filter as a differentiable module, for losses on what a generator's pictures look like when drawn.

The same arithmetic as `sketchprep.ops.photocopy.photocopy` with ``variant="gegl"``, but for three things: nothing is
rounded to 8 bits, the blurs repeat the border on all four sides, and the ramp's width, which comes from the histogram
of each picture, is held constant for the gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sketchprep.ops import recursive_blur
from sketchprep.ops.photocopy import deviations

__all__ = ["Photocopy"]

LUMINANCE = (0.2225, 0.7169, 0.0606)
BINS = 1000
TINY = 1e-20


class Photocopy(nn.Module):
    """RGB (B, 3, H, W), sRGB from 0 to 1, to black ink on white (B, 1, H, W) from 0 to 1.

    Parameters
    ----------
    mask_radius, sharpness, white, threshold : float
        See `sketchprep.ops.photocopy.photocopy`.
    """

    def __init__(
        self, *, mask_radius: float = 10.0, sharpness: float = 0.5, white: float = 0.2, threshold: float = 0.75
    ) -> None:
        super().__init__()
        self.white, self.threshold = white, threshold
        self.luminance: Tensor
        self.register_buffer("luminance", torch.tensor(LUMINANCE).view(1, 3, 1, 1), persistent=False)
        for name, sd in zip(("near", "far"), deviations(mask_radius, sharpness), strict=True):
            self.register_buffer(name, torch.from_numpy(recursive_blur.response(sd).copy()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        light = (_to_linear(x.clamp(0, 1)) * self.luminance).sum(1, keepdim=True)
        near, far = _blur(light, self.near), _blur(light, self.far)  # type: ignore[arg-type]
        ratio = near / (far + TINY)
        rise = ratio - self.threshold
        ramp = (rise / self._widths(ratio)).clamp(0, 1)
        tone = near + (1 - near) * ramp + near * rise.clamp(max=0)
        return _to_srgb(tone.clamp(0, 1))

    @torch.no_grad()
    def _widths(self, ratio: Tensor) -> Tensor:
        """Width of each picture's ramp, (B, 1, 1, 1): up to the share `white` of what is below the threshold."""
        below = math.ceil(self.threshold * BINS)
        widths = ratio.new_ones(len(ratio), 1, 1, 1)
        for sample, width in zip(ratio, widths, strict=True):
            counts = torch.bincount((sample.flatten().clamp(0, 2) * BINS).long(), minlength=below)[:below]
            cumulative = counts.cumsum(0)
            if self.white and cumulative[-1]:
                first = int((cumulative > self.white * cumulative[-1]).int().argmax())
                width.fill_(max(1e-6, self.threshold - first / BINS))
        return widths


def _blur(x: Tensor, kernel: Tensor) -> Tensor:
    radius = len(kernel) // 2
    for axis in (2, 3):
        pad = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
        x = functional.conv2d(functional.pad(x, pad, mode="replicate"), kernel.view(shape))
    return x


def _to_linear(x: Tensor) -> Tensor:
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _to_srgb(x: Tensor) -> Tensor:
    # The power's slope at 0 is infinite: inside, its argument is kept away from there, where it is not taken.
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
