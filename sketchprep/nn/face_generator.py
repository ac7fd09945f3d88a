"""A face generator that pip can fetch: MobileStyleGAN (Belousov, 2021) for FFHQ faces of 1024 px.

The student keeps StyleGAN2's mapping network; its synthesis network is made of depthwise separable modulated
convolutions and draws wavelet coefficients, which an inverse Haar transform turns into pictures.  So w means what it
means to StyleGAN2's FFHQ network, and directions published for that work here.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LAYERS", "SIZE", "STYLE_DIM", "FaceGenerator", "inverse_haar"]

SIZE = 1024
STYLE_DIM = 512
MAPPING_LAYERS = 8
CHANNELS = (512, 512, 512, 512, 256, 128, 64)  # of the blocks behind the 4×4 map, each twice as wide and high
SLOPE = 0.2
# Rows of w+ one for each modulation: the first convolution, three in each block, the picture.
LAYERS = 1 + 3 * len(CHANNELS) + 1


class FaceGenerator(nn.Module):
    """From z, w or w+ to faces; float32, on any device.  Frozen: built to draw, and to be descended through.

    All noise is fixed: it was folded into the weights when they were published, so one w gives one picture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.ModuleList(nn.Linear(STYLE_DIM, STYLE_DIM) for _ in range(MAPPING_LAYERS))
        self.input = nn.Parameter(torch.zeros(1, CHANNELS[0], 4, 4))
        self.first = _Conv(CHANNELS[0], CHANNELS[0], 4, separable=False)
        before = (CHANNELS[0], *CHANNELS)
        self.blocks = nn.ModuleList(_Block(before[k], channels, 8 * 2**k) for k, channels in enumerate(CHANNELS))
        self.to_wavelets = _ToWavelets(CHANNELS[-1])

    def map(self, z: Tensor) -> Tensor:
        """Normal z to w, both of shape (batch, 512)."""
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = F.leaky_relu(layer(w), SLOPE) * math.sqrt(2)
        return w

    def features(self, w: Tensor, *, blocks: int = len(CHANNELS)) -> Tensor:
        """The map behind the first `blocks` blocks: shape (batch, channels, 4·2^blocks, 4·2^blocks)."""
        rows = w[:, None].expand(-1, LAYERS, -1) if w.ndim == 2 else w
        if rows.shape[1:] != (LAYERS, STYLE_DIM):
            raise ValueError(f"w must have shape (batch, {STYLE_DIM}) or (batch, {LAYERS}, {STYLE_DIM})")
        x = self.first(self.input.expand(len(rows), -1, -1, -1), rows[:, 0])
        for number, block in enumerate(self.blocks[:blocks]):
            x = block(x, rows[:, 1 + 3 * number : 4 + 3 * number])
        return x

    def synthesize(self, w: Tensor) -> Tensor:
        """Faces of a w, shape (batch, 512), or w+, shape (batch, 23, 512).

        Returns
        -------
        Tensor, shape (batch, 3, 1024, 1024), float
            About -1 to 1, unclamped.
        """
        row = w if w.ndim == 2 else w[:, -1]
        return inverse_haar(self.to_wavelets(self.features(w), row))

    def forward(self, z: Tensor) -> Tensor:
        """Faces of z, untruncated."""
        return self.synthesize(self.map(z))


def inverse_haar(x: Tensor) -> Tensor:
    """Double height and width by the inverse Haar wavelet transform.

    Parameters
    ----------
    x : Tensor, shape (batch, 4·channels, h, w)
        The low-pass coefficients of all channels, then three details for each channel.
    """
    batch, four, height, width = x.shape
    channels = four // 4
    low = x[:, :channels]
    a, b, c = x[:, channels:].reshape(batch, channels, 3, height, width).unbind(2)
    quads = torch.stack([low + a + b + c, low + a - b - c, low - a + b - c, low - a - b + c], 2).view(
        batch, channels, 2, 2, height, width
    )
    return quads.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, 2 * height, 2 * width) / 2


class _Conv(nn.Module):
    """Modulated convolution with noise, bias and leaky ReLU; demodulation and gains lie in the weights."""

    def __init__(self, in_channels: int, out_channels: int, side: int, *, separable: bool = True) -> None:
        super().__init__()
        self.modulation = nn.Linear(STYLE_DIM, in_channels)
        if separable:
            self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
            self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        else:
            self.depthwise = nn.Identity()  # type: ignore[assignment]
            self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.noise = nn.Parameter(torch.zeros(1, 1, side, side))
        self.bias = nn.Parameter(torch.zeros(1, out_channels, 1, 1))
        self.scale = 1 / math.sqrt(in_channels * 9)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = x * (self.modulation(style) * self.scale)[:, :, None, None]
        return F.leaky_relu(self.conv(self.depthwise(x)) + self.noise + self.bias, SLOPE)


class _Block(nn.Module):
    """Modulation, inverse Haar transform, two convolutions."""

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.up = nn.Linear(STYLE_DIM, in_channels)
        self.conv1 = _Conv(in_channels // 4, out_channels, side)
        self.conv2 = _Conv(out_channels, out_channels, side)

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        x = inverse_haar(x * self.up(rows[:, 0])[:, :, None, None])
        return self.conv2(self.conv1(x, rows[:, 1]), rows[:, 2])


class _ToWavelets(nn.Module):
    """1×1 convolution to the picture's wavelet coefficients."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(STYLE_DIM, in_channels)
        self.conv = nn.Conv2d(in_channels, 12, 1)
        self.scale = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.conv(x * (self.modulation(style) * self.scale)[:, :, None, None])


def load_face_generator(path: Path, *, device: torch.device | str = "cpu") -> FaceGenerator:
    """Load the converted weights; frozen and in eval mode."""
    from safetensors.torch import load_file

    net = FaceGenerator()
    net.load_state_dict(load_file(path))
    return net.to(device).eval().requires_grad_(False)
