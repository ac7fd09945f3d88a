"""Side by side, for junyanz/pytorch-CycleGAN-and-pix2pix (Isola et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sketchprep.datasets.export.base import Exporter, needed, picture, quoted, side_by_side
from sketchprep.io import shards

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair

__all__ = ["Pix2Pix"]


class Pix2Pix(Exporter):
    """``train/KEY.png`` and so on: A, the sketch, on the left, B, the photo, on the right."""

    name = "pix2pix"

    def paths(self, row: Mapping[str, Any]) -> list[str]:
        needed(row, "sketch")
        return [f"{row['split']}/{shards.key(row['ordinal'])}.png"]

    def contents(self, pair: Pair) -> list[bytes]:
        return [side_by_side(picture(pair, "sketch", self.size), picture(pair, "photo", self.size))]

    def command(self) -> str:
        # Its U-Nets halve the picture eight or seven times; the resnet takes any multiple of four.
        net = "unet_256" if self.size % 256 == 0 else "unet_128" if self.size % 128 == 0 else "resnet_9blocks"
        return (
            f"python train.py --dataroot {quoted(self.out)} --name {self.dataset_name} --model pix2pix"
            f" --dataset_mode aligned --direction AtoB --netG {net}"
            f" --load_size {round(self.size * 286 / 256)} --crop_size {self.size}"
        )
