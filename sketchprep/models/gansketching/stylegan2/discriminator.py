"""StyleGAN2's discriminator: residual blocks, minibatch standard deviation, one logit (Karras et al. 2020, fig. 7c)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sketchprep.models.gansketching.stylegan2.architecture import Architecture
from sketchprep.models.gansketching.stylegan2.operations import (
    EPSILON,
    BiasedLeakyReLU,
    Blur,
    EqualConv2d,
    EqualLinear,
)

__all__ = ["Discriminator", "minibatch_std"]

GROUP = 4


class Discriminator(nn.Module):
    """Logits of pictures; positive means real.

    Parameters
    ----------
    architecture : Architecture
        Size and channels, as of the generator.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = net = architecture
        down = net.resolutions[:0:-1]
        self.convs = nn.Sequential(
            nn.Sequential(EqualConv2d(3, net.channels(net.size), 1), BiasedLeakyReLU(net.channels(net.size))),
            *(_ResidualBlock(net.channels(side), net.channels(side // 2)) for side in down),
        )
        inner = net.channels(4)
        self.final_conv = nn.Sequential(EqualConv2d(inner + 1, inner, 3, padding=1), BiasedLeakyReLU(inner))
        self.final_linear = nn.Sequential(
            EqualLinear(inner * 4 * 4, inner, activation=True),
            EqualLinear(inner, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, 3, size, size), -1 to 1, to (batch, 1)."""
        return self.final_linear(self.final_conv(minibatch_std(self.convs(x))).flatten(1))


def minibatch_std(x: Tensor, *, group: int = GROUP) -> Tensor:
    """Append one constant channel: the mean standard deviation over groups of samples (Karras et al., ICLR 2018).

    Sample i belongs to group ``i mod (batch / n)``, n being the largest divisor of the batch up to `group`, so that any
    batch works; the original knows only multiples of 4 and batches below.
    """
    batch, channels, height, width = x.shape
    size = next(n for n in range(min(group, batch), 0, -1) if batch % n == 0)
    spread = torch.sqrt(x.view(size, -1, channels, height, width).var(0, unbiased=False) + EPSILON)
    means = spread.mean((1, 2, 3)).repeat(size)
    return torch.cat([x, means[:, None, None, None].expand(-1, 1, height, width)], 1)


class _ResidualBlock(nn.Module):
    """Two 3×3 convolutions, the second halving the sides, beside a 1×1 one; their sum over the square root of 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(EqualConv2d(in_channels, in_channels, 3, padding=1), BiasedLeakyReLU(in_channels))
        self.conv2 = nn.Sequential(
            Blur((2, 2)), EqualConv2d(in_channels, out_channels, 3, stride=2), BiasedLeakyReLU(out_channels)
        )
        self.skip = nn.Sequential(Blur((1, 1)), EqualConv2d(in_channels, out_channels, 1, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)
