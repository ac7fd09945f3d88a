"""Pieces that several networks share: residual block, upsampling, activation, initial weights, pixels to and from.

A convolution followed by a normalisation has no bias: the normalisation subtracts it again, so its gradient is zero but
for rounding, and Adam, which divides a gradient by its own size, would walk it about at the full learning rate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["UPSAMPLES", "ResnetBlock", "activation", "from_pixels", "init_weights", "to_pixels", "upsample"]

Norm = Callable[[int], nn.Module]

UPSAMPLES = ("transpose", "resize")


class ResnetBlock(nn.Module):
    """``x + N(C(relu(N(C(x)))))``: 3×3 convolutions C with reflected borders and no bias, normalisations N.

    Parameters
    ----------
    channels : int
        Of input and output.
    norm : callable
        ``norm(channels)`` gives the normalisation, e.g. ``nn.BatchNorm2d``.

    Notes
    -----
    Height and width stay; both must be at least 2, since one pixel has no neighbour to reflect.
    """

    def __init__(self, channels: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        return x + self.body(x)


def upsample(inputs: int, outputs: int, *, mode: str, kernel: int = 4, bias: bool = False) -> nn.Module:
    """A layer that doubles height and width.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    mode : {"transpose", "resize"}
        A transposed convolution of stride 2, as in the original networks, or the nearest pixel doubled and a 3×3
        convolution, which cannot leave the transposed convolution's grid (Odena et al. 2016).
    kernel : {4, 3}
        Of the transposed convolution.
    bias : bool
        For a layer that no normalisation follows.

    Raises
    ------
    ValueError
        For another mode or kernel.
    """
    if mode == "resize":
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias)
        )
    if mode != "transpose" or kernel not in (3, 4):
        raise ValueError(f"upsample takes mode transpose or resize and kernel 3 or 4, not {mode!r} and {kernel}")
    return nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding=1, output_padding=4 - kernel, bias=bias)


def activation(slope: float) -> nn.Module:
    """LeakyReLU of a slope; nothing at all for slope 1, the linear blocks of DeepFaceDrawing's released code."""
    return nn.Identity() if slope == 1 else nn.LeakyReLU(slope, inplace=True)


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    """Draw initial weights as pix2pixHD does, in place: convolutions N(0, 0.02), gains N(1, 0.02), their biases 0.

    Parameters
    ----------
    module : Module
        All its parts are visited.  Linear layers and 1×1 convolutions keep torch's default, which depends on the
        number of inputs: 0.02 would shrink what passes through a narrow one to nothing.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and part.kernel_size != (1, 1):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d) and part.affine:
            nn.init.normal_(part.weight, 1.0, 0.02)
            nn.init.zeros_(part.bias)


def from_pixels(pixels: Tensor) -> Tensor:
    """uint8 to float32, -1..1; the same shape."""
    return pixels.float() / 127.5 - 1


def to_pixels(pictures: Tensor) -> np.ndarray:
    """Float, -1..1, to the nearest pixels; what lies beyond is cut off.

    Parameters
    ----------
    pictures : Tensor of float, shape (B, 1, H, W) or (B, 3, H, W)

    Returns
    -------
    ndarray of uint8, shape (B, H, W) or (B, H, W, 3)
    """
    pixels = ((pictures.detach().float() + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
    return (pixels[:, 0] if pixels.shape[1] == 1 else pixels.movedim(1, -1)).contiguous().numpy()
