"""The layout of APDrawingGAN (Yi et al., CVPR 2019): side by side, with landmark and mask folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.datasets.export.base import LIGHT, Exporter, member, needed, picture, quoted, side_by_side
from sketchprep.errors import SampleError, UserError
from sketchprep.io import images, shards
from sketchprep.ops.align import five_points
from sketchprep.ops.resize import rescale_points, resize_labels

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair

__all__ = ["APDrawing"]

SIZE = 512


class APDrawing(Exporter):
    """``data/train/KEY.png`` (photo left, drawing right), ``landmark/ALL/KEY.txt`` and ``mask/ALL/KEY.png``.

    The landmark file has five lines ``x y`` of whole pixels: eye left and eye right in the image, nose tip, mouth
    corners left and right.  The mask, white where the person is, is written where a label map is known.
    """

    name = "apdrawing"

    def check(self) -> None:
        template = self.pairs.recipe["align"]["template"]
        if template != "apdrawing":
            raise UserError(
                f"--to apdrawing: {self.pairs.folder} lies in the frame '{template}', APDrawingGAN's pictures in their "
                "own; build it with --recipe apdrawing-pretrain or --set align.template=apdrawing"
            )
        if self.size != SIZE:
            raise UserError(
                f"--to apdrawing: its loader reads {SIZE} px, not {self.size}; build with --set size={SIZE}"
            )

    def paths(self, row: Mapping[str, Any]) -> list[str]:
        key = shards.key(row["ordinal"])
        needed(row, "sketch")
        files = [f"data/{row['split']}/{key}.png", f"landmark/ALL/{key}.txt"]
        return files + ([f"mask/ALL/{key}.png"] if member(row, "labels") else [])

    def contents(self, pair: Pair) -> list[bytes]:
        if pair.landmarks is None:
            raise SampleError("no-landmarks", "APDrawingGAN needs five landmarks for every picture")
        points = five_points(rescale_points(pair.landmarks, self.size / self.pairs.size))
        lines = "".join(f"{x} {y}\n" for x, y in np.rint(points).astype(int).tolist())
        both = side_by_side(picture(pair, "photo", self.size), picture(pair, "sketch", self.size))
        files = [both, lines.encode()]
        if member(pair.row, "labels"):
            person = resize_labels(pair["labels"], self.size) > 0
            files.append(images.encode_png(np.where(person, 255, 0).astype(np.uint8)))
        return files

    def _masks(self) -> int:
        return sum(member(row, "labels") is not None for row in self.rows(LIGHT))

    def command(self) -> str:
        parts = " --use_local --discriminator_local" if self._masks() == len(self.numbers) else ""
        return (
            f"python train.py --dataroot {quoted(self.out / 'data')} --name {self.dataset_name}"
            f" --lm_dir {quoted(self.out / 'landmark' / 'ALL')} --bg_dir {quoted(self.out / 'mask' / 'ALL')}{parts}"
            " --niter 300 --niter_decay 0 --save_epoch_freq 25"
        )

    def notes(self) -> tuple[str, ...]:
        masks = self._masks()
        if masks == len(self.numbers):
            return ()
        return (
            f"masks are known for {masks} of {len(self.numbers)} pairs; APDrawingGAN's part networks (--use_local "
            "--discriminator_local) need one for every pair, so the command leaves them out",
        )
