"""One photo on its way to a pair: its row, the results of its stages, and its encoded files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sketchprep.io import images
from sketchprep.sketching.framing import blank_outside

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.datasets.reports import Meter
    from sketchprep.sketching.framing import FramedPhoto
    from sketchprep.sketching.recipe import Recipe
    from sketchprep.sketching.sketcher import Sketcher

__all__ = ["WorkItem", "run_stages"]

JSON_KEYS = ("ordinal", "id", "source", "split", "sha256", "landmarks", "pose", "attributes", "windows")


@dataclass
class WorkItem:
    """A photo of a shard.

    Attributes
    ----------
    number : int
        Position in the shard.
    row : dict
        Its row of the index, or one whose ``kind`` says why it becomes no pair.
    landmarks : ndarray of float64, shape (68, 2), or None
        In pixels of the frame.
    images : dict of str to ndarray of uint8
        ``"photo"``, as sketch stages see it, and the results of the stages that have run.
    beyond : bool
        The frame reaches beyond the photo: stored sketches are blank there.
    files : dict of str to bytes
        Encoded members by name.
    """

    number: int
    row: dict[str, Any]
    landmarks: np.ndarray | None = None
    images: dict[str, np.ndarray] = field(default_factory=dict)
    beyond: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def from_framed(
        cls, number: int, row: dict[str, Any], framed: FramedPhoto, recipe: Recipe, meter: Meter
    ) -> WorkItem:
        """Start from a photo in its frame; encodes what no stage changes."""
        seen = framed.photo if framed.context is None else framed.context
        item = cls(number, row, framed.landmarks, {"photo": seen}, framed.context is not None)
        with meter.time("encode"):
            if recipe.photo.format == "png":
                item.files["photo.png"] = images.encode_png(framed.photo)
            else:
                jpeg = framed.encoded or images.encode_jpeg(framed.photo, quality=recipe.photo.quality)
                item.files["photo.jpg"] = jpeg
            if framed.sketch is not None:
                item.files["sketch.png"] = images.encode_png(framed.sketch)
            if framed.labels is not None:
                item.files["labels.png"] = images.encode_png(framed.labels)
        return item

    @property
    def usable(self) -> bool:
        """Whether it becomes a pair."""
        return self.row["kind"] is None

    @property
    def outcome(self) -> str:
        """``"pair"``, ``"rejected"`` or ``"failed"``."""
        return "pair" if self.usable else "rejected" if self.row["rejected"] else "failed"

    def encode(self, recipe: Recipe, meter: Meter) -> None:
        """Encode the results of all stages that the recipe stores."""
        stored = {"sketch.png": recipe.sketch, **{f"{name}.png": name for name in recipe.store}}
        with meter.time("encode"):
            for file, stage in stored.items():
                if stage not in self.images or file in self.files:
                    continue
                image = self.images[stage]
                if self.beyond:
                    image = blank_outside(image, self.row["matrix"], (self.row["width"], self.row["height"]))
                self.files[file] = images.encode_png(image)

    def members(self, recipe: Recipe) -> dict[str, bytes]:
        """All files of the pair, in the order in which they are stored."""
        photo = "photo.png" if recipe.photo.format == "png" else "photo.jpg"
        names = [photo, "sketch.png", *(f"{name}.png" for name in recipe.store)]
        names += ["labels.png"] if "labels.png" in self.files else []
        about = {key: self.row[key] for key in JSON_KEYS}
        text = json.dumps(about, ensure_ascii=True, separators=(",", ":")).encode()
        return {**{name: self.files[name] for name in names}, "json": text}


def run_stages(items: Sequence[WorkItem], sketcher: Sketcher, meter: Meter) -> None:
    """Run the sketcher's stages on the usable ones among some photos: one batch for a network."""
    ready = [item for item in items if item.usable]
    if not ready:
        return
    results = sketcher.run([item.images for item in ready], [item.landmarks for item in ready], timer=meter.time)
    for item, pictures in zip(ready, results, strict=True):
        item.images = pictures
