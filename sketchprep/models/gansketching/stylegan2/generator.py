"""StyleGAN2's generator: mapping network, and synthesis network with skips (Karras et al. 2020, figure 7b)."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sketchprep.models.gansketching.stylegan2.architecture import Architecture
from sketchprep.models.gansketching.stylegan2.operations import (
    BiasedLeakyReLU,
    EqualLinear,
    ModulatedConv2d,
    PixelNorm,
    upsample2,
)

__all__ = ["Generator"]

LR_MUL = 0.01  # of the mapping network


class Generator(nn.Module):
    """From z, w or w+ to pictures of about -1 to 1, unclamped.

    Parameters
    ----------
    architecture : Architecture
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = net = architecture
        self.style = _mapping(net)
        self.input = _Constant(net.channels(4))
        self.conv1 = _StyledConv(net.channels(4), net.channels(4), net.style_dim)
        self.to_rgb1 = _ToRGB(net.channels(4), net.style_dim)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for resolution in net.resolutions[1:]:
            before, after = net.channels(resolution // 2), net.channels(resolution)
            self.convs.append(_StyledConv(before, after, net.style_dim, up=True))
            self.convs.append(_StyledConv(after, after, net.style_dim))
            self.to_rgbs.append(_ToRGB(after, net.style_dim))
        self.noises = nn.Module()
        for number, side in enumerate(net.noise_sizes):
            self.noises.register_buffer(f"noise_{number}", torch.randn(1, 1, side, side))

    def map(self, z: Tensor) -> Tensor:
        """The mapping network: z to w, both of shape (batch, style_dim); a learnt W shift is included."""
        return self.style(z)

    def mean_w(self, count: int = 4096, *, generator: torch.Generator | None = None) -> Tensor:
        """The mean of w over random z, shape (1, style_dim): where truncation pulls towards."""
        z = torch.randn(count, self.architecture.style_dim, generator=generator)
        with torch.no_grad():
            return self.map(z.to(self.input.input)).mean(0, keepdim=True)

    def rows(self, w: Tensor, *, psi: float = 1, mean: Tensor | None = None) -> Tensor:
        """Shape (batch, style_dim) to w+, (batch, rows, style_dim), truncated towards `mean` where `psi` is below 1.

        What has three axes already is taken as w+; rows beyond those of the network are ignored.

        Raises
        ------
        ValueError
            For a `psi` below 1 without a mean, or too few rows.
        """
        net = self.architecture
        wplus = w[:, None].expand(-1, net.rows, -1) if w.ndim == 2 else w[:, : net.rows]
        if wplus.shape[1:] != (net.rows, net.style_dim):
            raise ValueError(f"w+ must have shape (batch, {net.rows}, {net.style_dim}), not {tuple(w.shape)}")
        if psi < 1:
            if mean is None:
                raise ValueError("psi below 1 needs the mean of w")
            wplus = mean + psi * (wplus - mean)
        return wplus

    def synthesize(self, wplus: Tensor, *, noise: Sequence[Tensor | None] | str = "random") -> Tensor:
        """From w+ to pictures.

        Parameters
        ----------
        wplus : Tensor, shape (batch, rows, style_dim)
        noise : {"random", "fixed", "none"} or sequence of Tensor
            Fresh noise, the stored one, none, or given: a tensor (batch or 1, 1, side, side) for each layer.

        Returns
        -------
        Tensor, shape (batch, 3, size, size), float
        """
        noises = self._noises(noise, wplus)
        x = self.conv1(self.input(len(wplus)), wplus[:, 0], noises[0])
        rgb = self.to_rgb1(x, wplus[:, 1])
        for block, to_rgb in enumerate(self.to_rgbs):
            row = 2 * block + 1
            x = self.convs[2 * block](x, wplus[:, row], noises[row])
            x = self.convs[2 * block + 1](x, wplus[:, row + 1], noises[row + 1])
            rgb = to_rgb(x, wplus[:, row + 2], rgb)
        return rgb

    def forward(
        self,
        z: Tensor,
        *,
        second: Tensor | None = None,
        crossover: int | None = None,
        psi: float = 1,
        mean: Tensor | None = None,
        noise: Sequence[Tensor | None] | str = "random",
    ) -> Tensor:
        """From z to pictures; with a `second` z, rows from `crossover` on come from that (style mixing).

        Without a crossover it is drawn by Python's `random`, one for the whole batch, from 1 to rows - 1.
        """
        wplus = self.rows(self.map(z), psi=psi, mean=mean)
        if second is not None:
            if crossover is None:
                crossover = random.randint(1, self.architecture.rows - 1)
            other = self.rows(self.map(second), psi=psi, mean=mean)
            wplus = torch.cat([wplus[:, :crossover], other[:, crossover:]], 1)
        return self.synthesize(wplus, noise=noise)

    def _noises(self, noise: Sequence[Tensor | None] | str, like: Tensor) -> list[Tensor | None]:
        sides = self.architecture.noise_sizes
        if noise == "none":
            return [None] * len(sides)
        if noise == "fixed":
            return [getattr(self.noises, f"noise_{number}") for number in range(len(sides))]
        if noise == "random":
            return [like.new_empty(len(like), 1, side, side).normal_() for side in sides]
        if isinstance(noise, str) or len(noise) != len(sides):
            raise ValueError(f"noise must be random, fixed, none or {len(sides)} tensors")
        return list(noise)


def _mapping(net: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = [PixelNorm()]
    layers += [
        EqualLinear(net.style_dim, net.style_dim, lr_mul=LR_MUL, activation=True) for _ in range(net.mapping_layers)
    ]
    if net.w_shift:
        layers.append(_Shift(net.style_dim))
    return nn.Sequential(*layers)


class _Shift(nn.Module):
    """GANSketching's W shift: one vector added to every w."""

    def __init__(self, style_dim: int) -> None:
        super().__init__()
        self.w_shift = nn.Parameter(torch.zeros(1, style_dim))

    def forward(self, w: Tensor) -> Tensor:
        return w + self.w_shift


class _Constant(nn.Module):
    """The learnt 4×4 map that every picture begins with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        return self.input.expand(batch, -1, -1, -1)


class _Noise(nn.Module):
    """Noise times one learnt weight, zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        return x if noise is None else x + self.weight * noise


class _StyledConv(nn.Module):
    """Modulated 3×3 convolution, noise, bias and activation."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim, up=up)
        self.noise = _Noise()
        self.activate = BiasedLeakyReLU(out_channels)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        return self.activate(self.noise(self.conv(x, style), noise))


class _ToRGB(nn.Module):
    """1×1 convolution to three channels without demodulation, added to the doubled picture so far."""

    def __init__(self, in_channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, rgb: Tensor | None = None) -> Tensor:
        out = self.conv(x, style) + self.bias
        return out if rgb is None else out + upsample2(rgb)
