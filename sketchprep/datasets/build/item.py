"""One photo on its way to a pair: what is known of it, what was drawn of it, and the files that are ready."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.core.progress import Meter
    from sketchprep.sketching.framing import FramedPhoto
    from sketchprep.sketching.recipe import Recipe
    from sketchprep.sketching.sketcher import Sketcher

__all__ = ["WorkItem", "draw", "encode", "members", "start"]

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
        Members that are ready, by name.
    """

    number: int
    row: dict[str, Any]
    landmarks: np.ndarray | None = None
    images: dict[str, np.ndarray] = field(default_factory=dict)
    beyond: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether it becomes a pair."""
        return self.row["kind"] is None


def start(recipe: Recipe, number: int, row: dict[str, Any], framed: FramedPhoto | None, meter: Meter) -> WorkItem:
    """Begin with a photo in its frame, or with a row that says why there is none; encodes what no stage changes."""
    from sketchprep.io import images as imageio

    if framed is None:
        return WorkItem(number, row)
    seen = framed.photo if framed.context is None else framed.context
    item = WorkItem(number, row, framed.landmarks, {"photo": seen}, framed.context is not None)
    with meter.time("encode"):
        if recipe.photo.format == "png":
            item.files["photo.png"] = imageio.encode_png(framed.photo)
        else:
            jpeg = framed.encoded or imageio.encode_jpeg(framed.photo, quality=recipe.photo.quality)
            item.files["photo.jpg"] = jpeg
        if framed.sketch is not None:
            item.files["sketch.png"] = imageio.encode_png(framed.sketch)
        if framed.labels is not None:
            item.files["labels.png"] = imageio.encode_png(framed.labels)
    return item


def draw(items: Sequence[WorkItem], sketcher: Sketcher, meter: Meter) -> None:
    """Run the stages over the usable ones among some photos: one batch for a network."""
    ready = [item for item in items if item.usable]
    if not ready:
        return
    drawn = sketcher.run([item.images for item in ready], [item.landmarks for item in ready], timer=meter.time)
    for item, images in zip(ready, drawn, strict=True):
        item.images = images


def encode(recipe: Recipe, item: WorkItem, meter: Meter) -> None:
    """Make the files of all stages that are stored and have run."""
    from sketchprep.io import images as imageio
    from sketchprep.sketching.framing import blank_outside

    stored = {"sketch.png": recipe.sketch, **{f"{name}.png": name for name in recipe.store}}
    with meter.time("encode"):
        for file, stage in stored.items():
            if stage not in item.images or file in item.files:
                continue
            image = item.images[stage]
            if item.beyond:
                image = blank_outside(image, item.row["matrix"], (item.row["width"], item.row["height"]))
            item.files[file] = imageio.encode_png(image)


def members(recipe: Recipe, item: WorkItem) -> dict[str, bytes]:
    """All files of a pair, in the order in which they are stored."""
    photo = "photo.png" if recipe.photo.format == "png" else "photo.jpg"
    names = [photo, "sketch.png", *(f"{name}.png" for name in recipe.store)]
    names += ["labels.png"] if "labels.png" in item.files else []
    about = {key: item.row[key] for key in JSON_KEYS}
    text = json.dumps(about, ensure_ascii=True, separators=(",", ":")).encode()
    return {**{name: item.files[name] for name in names}, "json": text}
