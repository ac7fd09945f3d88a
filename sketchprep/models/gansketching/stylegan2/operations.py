"""StyleGAN2's operations in plain PyTorch.

No compiled extension: everything here is built of PyTorch's own differentiable operations, so that the second
derivatives that R1 and path length regularisation need exist on every device.  Layer names and shapes of weights are
those of the common PyTorch port, so that its files load without renaming.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "FIR",
    "BiasedLeakyReLU",
    "Blur",
    "EqualConv2d",
    "EqualLinear",
    "ModulatedConv2d",
    "PixelNorm",
    "biased_leaky_relu",
    "downsample2",
    "filter_separable",
    "pixel_norm",
    "upfirdn2d",
    "upsample2",
]

FIR = (1.0, 3.0, 3.0, 1.0)  # binomial low-pass filter of all resampling, before normalisation
SLOPE = 0.2
GAIN = math.sqrt(2)  # keeps the variance behind a leaky ReLU
EPSILON = 1e-8


def upfirdn2d(x: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """Insert zeros, pad or crop, convolve with a 2-D filter, keep every `down`-th pixel.

    Parameters
    ----------
    x : Tensor, shape (batch, channels, height, width)
    kernel : Tensor, shape (kh, kw)
        Filter of a true convolution (it is flipped), the same for all channels.
    up, down : int
        Factors; each pixel is followed by ``up - 1`` zeros.
    pad : (int, int)
        Rows and columns before and after; negative values crop.
    """
    x = _pad(_insert_zeros(x, up), pad)
    channels = x.shape[1]
    weight = kernel.flip(0, 1).to(x.dtype)[None, None].expand(channels, 1, -1, -1)
    return F.conv2d(x, weight, groups=channels)[..., ::down, ::down]


def filter_separable(
    x: Tensor,
    *,
    taps: Sequence[float] = FIR,
    up: int = 1,
    down: int = 1,
    pad: tuple[int, int] = (0, 0),
    gain: float = 1,
) -> Tensor:
    """`upfirdn2d` with the outer product of symmetric `taps`, normalised to the sum `gain`.

    Sums of shifted slices: on a CPU faster than a depthwise convolution, and much cheaper to differentiate twice.
    """
    x = _pad(_insert_zeros(x, up), pad)
    total = sum(taps)
    root = math.sqrt(gain)
    for axis in (-2, -1):
        kept = x.shape[axis] - len(taps) + 1
        x = sum((x.narrow(axis, at, kept) * (tap * root / total) for at, tap in enumerate(taps)), start=torch.zeros(()))
        if down > 1:
            x = x[..., ::down, :] if axis == -2 else x[..., ::down]
    return x


def upsample2(x: Tensor) -> Tensor:
    """Double height and width with the low-pass filter, brightness kept."""
    return filter_separable(x, up=2, pad=(2, 1), gain=4)


def downsample2(x: Tensor) -> Tensor:
    """Halve height and width behind the low-pass filter."""
    return filter_separable(x, down=2, pad=(1, 1))


def _insert_zeros(x: Tensor, up: int) -> Tensor:
    if up == 1:
        return x
    batch, channels, height, width = x.shape
    x = F.pad(x[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1))
    return x.reshape(batch, channels, height * up, width * up)


def _pad(x: Tensor, pad: tuple[int, int]) -> Tensor:
    return x if pad == (0, 0) else F.pad(x, (*pad, *pad))


def biased_leaky_relu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Leaky ReLU (slope 0.2) behind an optional bias on axis 1, times the square root of 2."""
    if bias is not None:
        x = x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    return F.leaky_relu(x, SLOPE) * GAIN


def pixel_norm(z: Tensor) -> Tensor:
    """Divide each row by its root mean square; shape (batch, features)."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + EPSILON)


class PixelNorm(nn.Module):
    """`pixel_norm` as a layer."""

    def forward(self, z: Tensor) -> Tensor:
        return pixel_norm(z)


class BiasedLeakyReLU(nn.Module):
    """`biased_leaky_relu` with a learnt bias, zero at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return biased_leaky_relu(x, self.bias)


class EqualLinear(nn.Module):
    """Fully connected layer with equalised learning rate (Karras et al., ICLR 2018).

    The stored weight is normal with standard deviation ``1 / lr_mul``; what is used is the stored weight times
    ``lr_mul / sqrt(in_features)``, so that an optimiser's step means the same in every layer.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: float = 0, lr_mul: float = 1, activation: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_mul)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias)))
        self.scale, self.lr_mul, self.activation = lr_mul / math.sqrt(in_features), lr_mul, activation

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)
        return biased_leaky_relu(x) if self.activation else x


class EqualConv2d(nn.Module):
    """Convolution without bias, with equalised learning rate: used weight = stored / sqrt(in · k²)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.scale, self.stride, self.padding = 1 / math.sqrt(in_channels * kernel**2), stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class Blur(nn.Module):
    """`filter_separable` as a layer."""

    def __init__(self, pad: tuple[int, int], *, gain: float = 1) -> None:
        super().__init__()
        self.pad, self.gain = pad, gain

    def forward(self, x: Tensor) -> Tensor:
        return filter_separable(x, pad=self.pad, gain=self.gain)


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style (Karras et al. 2020, equations 1 and 3).

    The input is scaled in place of the weight, and the output by the demodulation: the same numbers, with one kernel
    for the whole batch instead of one a sample.

    Parameters
    ----------
    in_channels, out_channels, kernel : int
    style_dim : int
        Numbers in the style; a linear layer whose bias is 1 at first maps them to the input channels.
    demodulate : bool
        Divide each output channel by the norm of its scaled weights.
    up, down : bool
        Double or halve height and width, with the low-pass filter behind or before the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        up: bool = False,
        down: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, out_channels, in_channels, kernel, kernel))
        self.modulation = EqualLinear(style_dim, in_channels, bias=1)
        self.scale = 1 / math.sqrt(in_channels * kernel**2)
        self.demodulate, self.up, self.down, self.kernel = demodulate, up, down, kernel

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Shapes (batch, in, h, w) and (batch, style_dim) to (batch, out, h', w')."""
        weight = self.weight[0] * self.scale
        style = self.modulation(style)
        x = self._convolve(x * style[:, :, None, None], weight)
        if not self.demodulate:
            return x
        norms = F.linear(style.square(), weight.square().sum((2, 3)))
        return x * torch.rsqrt(norms + EPSILON)[:, :, None, None]

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.up:
            return filter_separable(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), pad=(1, 1), gain=4)
        if self.down:
            return F.conv2d(filter_separable(x, pad=(2, 2)), weight, stride=2)
        return F.conv2d(x, weight, padding=self.kernel // 2)
