"""Two folders a split, for NVIDIA/pix2pixHD (Wang et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sketchprep.datasets.export.base import Exporter, needed, picture_bytes, quoted
from sketchprep.io import shards

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair

__all__ = ["Pix2PixHD"]


class Pix2PixHD(Exporter):
    """``train_A/KEY.png`` (sketch) and ``train_B/KEY.jpg`` (photo); it pairs files by their order."""

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
