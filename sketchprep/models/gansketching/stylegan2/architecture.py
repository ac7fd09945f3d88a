"""The numbers that fix StyleGAN2's networks: size, channels, latents, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sketchprep.errors import UserError

__all__ = ["Architecture"]

SIZES = (16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Architecture:
    """What fixes the shape of every weight; plain values, so that ``dataclasses.asdict`` goes into JSON.

    Parameters
    ----------
    size : {16, 32, 64, 128, 256, 512, 1024}
        Height and width of the pictures in pixels.
    style_dim : int
        Numbers in z and in a row of w.
    mapping_layers : int
        Fully connected layers from z to w; 8 in the paper, 2 in the ``auto`` configuration of stylegan2-ada.
    channel_base, channel_max : int
        A map of r×r pixels has ``min(channel_base // r, channel_max)`` channels.  16384 and 512 is config-e
        ("channel multiplier 1"), 32768 config-f ("channel multiplier 2").
    w_shift : bool
        Add one learnt vector to w, the smallest of the parts that GANSketching trains.
    """

    size: int = 256
    style_dim: int = 512
    mapping_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    w_shift: bool = False

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"size: {self.size} is no size of StyleGAN2; choose one of {', '.join(map(str, SIZES))}")
        for name in ("style_dim", "mapping_layers", "channel_base", "channel_max"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: {getattr(self, name)} must be at least 1")
        if self.channel_base < self.size:
            raise UserError(f"channel_base: {self.channel_base} leaves no channel at {self.size} px")

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Side of each map, from 4 up to `size`."""
        return tuple(2**k for k in range(2, round(math.log2(self.size)) + 1))

    @property
    def rows(self) -> int:
        """Rows of w+: one for each modulated layer; a resolution's RGB layer shares the next one's first."""
        return 2 * len(self.resolutions)

    @property
    def noise_sizes(self) -> tuple[int, ...]:
        """Side of each layer's noise, in order."""
        return (4, *(r for r in self.resolutions[1:] for _ in range(2)))

    def channels(self, resolution: int) -> int:
        """Channels of the map with sides of `resolution` pixels."""
        return min(self.channel_base // resolution, self.channel_max)
