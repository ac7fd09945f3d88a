"""The layouts of pix2pix (Isola et al., CVPR 2017) and pix2pixHD (Wang et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sketchprep.datasets.export.base import Exporter, needed, picture, picture_bytes, quoted, side_by_side
from sketchprep.io import shards

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair

__all__ = ["Pix2Pix", "Pix2PixHD"]


class Pix2Pix(Exporter):
    """``train/KEY.png``: A, the sketch, on the left, B, the photo, on the right, as in pytorch-CycleGAN-and-pix2pix."""

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


class Pix2PixHD(Exporter):
    """``train_A/KEY.png`` (sketch) and ``train_B/KEY.jpg`` (photo), paired by their order, as in NVIDIA/pix2pixHD."""

    name = "pix2pixhd"

    def paths(self, row: Mapping[str, Any]) -> list[str]:
        key, split = shards.key(row["ordinal"]), row["split"]
        names = [needed(row, "sketch"), needed(row, "photo")]
        return [f"{split}_{side}/{key}{PurePosixPath(n).suffix}" for side, n in zip("AB", names, strict=True)]

    def contents(self, pair: Pair) -> list[bytes]:
        return [picture_bytes(pair, name, self.size, self.pairs.size) for name in ("sketch", "photo")]

    def command(self) -> str:
        return (
            f"python train.py --dataroot {quoted(self.out)} --name {self.dataset_name} --label_nc 0 --no_instance"
            f" --resize_or_crop none --loadSize {self.size} --fineSize {self.size}"
        )
