"""Hugging Face ``imagefolder``: a folder a split with ``metadata.jsonl``; and the same for diffusers' ControlNet."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Set
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from sketchprep.datasets.export.base import LIGHT, Exporter, needed, picture_bytes, quoted
from sketchprep.io import shards
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair

__all__ = ["ControlNet", "ImageFolder"]

ANGLES = ("yaw", "pitch", "roll")
CAPTION = "a portrait photo of a face"


class ImageFolder(Exporter):
    """``train/photo/KEY.jpg``, ``train/sketch/KEY.png``; columns ``image``, ``sketch``, ``id``, attributes, pose.

    ``datasets`` makes a picture column of every ``*_file_name`` (``file_name`` alone gives ``image``).
    """

    name = "imagefolder"
    folders: ClassVar[tuple[str, str]] = ("photo", "sketch")
    sketch_column: ClassVar[str] = "sketch"

    def paths(self, row: Mapping[str, Any]) -> list[str]:
        return [f"{row['split']}/{name}" for name in self._inside(row)]

    def _inside(self, row: Mapping[str, Any]) -> list[str]:
        """Photo and sketch relative to the split's folder."""
        key = shards.key(row["ordinal"])
        names = [needed(row, "photo"), needed(row, "sketch")]
        return [f"{d}/{key}{PurePosixPath(n).suffix}" for d, n in zip(self.folders, names, strict=True)]

    def contents(self, pair: Pair) -> list[bytes]:
        return [picture_bytes(pair, name, self.size, self.pairs.size) for name in ("photo", "sketch")]

    def finish(self, failed: Set[int]) -> None:
        """Write each split's ``metadata.jsonl``."""
        columns = self._columns()
        for split in self.splits():
            with (
                atomic(self.out / split / "metadata.jsonl") as temporary,
                temporary.open("w", encoding="utf-8") as file,
            ):
                for row in self.rows([*LIGHT, "attributes", "pose"], failed):
                    if row["split"] == split:
                        file.write(json.dumps(self._line(row, columns), ensure_ascii=False) + "\n")

    def _columns(self) -> set[str]:
        """The columns, of attributes and pose, that some pair of every split has.

        ``datasets`` derives the types from the values and refuses splits that differ, as a column of nulls would.
        """
        known: dict[str, set[str]] = {"attributes": set(), "pose": set()}
        for row in self.rows(["ordinal", "split", *known]):
            for name, splits in known.items():
                if row[name]:
                    splits.add(row["split"])
        return {name for name, splits in known.items() if splits >= set(self.splits())}

    def _line(self, row: Mapping[str, Any], columns: set[str]) -> dict[str, Any]:
        photo, sketch = self._inside(row)
        line = {"file_name": photo, f"{self.sketch_column}_file_name": sketch, "id": row["id"]}
        if "attributes" in columns:
            line["attributes"] = row["attributes"]
        if "pose" in columns:
            line |= dict(zip(ANGLES, row["pose"] or (None,) * 3, strict=True))
        return line

    def command(self) -> str:
        folder = json.dumps(str(self.out.resolve()), ensure_ascii=False)
        code = f'import datasets; print(datasets.load_dataset("imagefolder", data_dir={folder}))'
        return f"python -c {shlex.quote(code)}"


class ControlNet(ImageFolder):
    """Columns ``image``, ``conditioning_image`` (the sketch) and ``text``, as ``train_controlnet.py`` of diffusers."""

    name = "controlnet"
    folders = ("image", "conditioning_image")
    sketch_column = "conditioning_image"

    def _line(self, row: Mapping[str, Any], columns: set[str]) -> dict[str, Any]:
        photo, sketch = self._inside(row)
        return {"file_name": photo, "conditioning_image_file_name": sketch, "text": CAPTION, "id": row["id"]}

    def _columns(self) -> set[str]:
        return set()

    def command(self) -> str:
        first = next(self.rows(LIGHT))
        last = next((row for row in self.rows(LIGHT) if row["split"] == "test"), first)
        return (
            "accelerate launch train_controlnet.py"
            " --pretrained_model_name_or_path=stable-diffusion-v1-5/stable-diffusion-v1-5"
            f" --train_data_dir={quoted(self.out)} --output_dir=controlnet-{self.dataset_name}"
            " --image_column=image --conditioning_image_column=conditioning_image --caption_column=text"
            f" --resolution={self.size} --learning_rate=1e-5 --train_batch_size=4"
            f" --validation_image {quoted(self.out / self.paths(last)[1])} --validation_prompt '{CAPTION}'"
        )

    def notes(self) -> tuple[str, ...]:
        return (
            f"every caption is '{CAPTION}'; put better ones under \"text\" in metadata.jsonl if you have them",
            "the sketches are black ink on white; released scribble models were trained on white lines on black",
        )
