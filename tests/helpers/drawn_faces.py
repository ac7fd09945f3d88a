"""A small dataset of drawn faces, as the builder would leave it, made in moments: no two are alike."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml

from sketchprep.datasets import schema
from sketchprep.io import images, shards
from sketchprep.ops.resize import resize
from sketchprep.sketching import recipe


def draw(number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Photo and sketch of a face whose head, eyes, mouth and colours follow from its number."""
    rng = np.random.default_rng(number)
    photo = np.full((512, 512, 3), rng.integers(60, 200, 3), np.uint8)
    sketch = np.full((512, 512), 255, np.uint8)
    skin = tuple(int(v) for v in rng.integers(120, 250, 3))
    width, height = int(rng.integers(120, 180)), int(rng.integers(170, 215))
    cv2.ellipse(photo, (256, 290), (width, height), 0, 0, 360, skin, -1)
    cv2.ellipse(sketch, (256, 290), (width, height), 0, 0, 360, 0, 6)
    for x in (193, 319):
        shape = ((x, 247), (int(rng.integers(15, 32)), int(rng.integers(6, 16))))
        cv2.ellipse(photo, *shape, 0, 0, 360, (40, 30, 20), -1)
        cv2.ellipse(sketch, *shape, 0, 0, 360, 0, 6)
    nose = np.array([(256, 260), (256 - int(rng.integers(10, 40)), 325), (270, 330)])
    cv2.polylines(sketch, [nose], False, 0, 6)
    mouth = ((256, 378), (int(rng.integers(25, 60)), int(rng.integers(4, 22))))
    cv2.ellipse(photo, *mouth, 0, 0, 360, (160, 50, 60), -1)
    cv2.ellipse(sketch, *mouth, 0, 0, 360, 0, 6)
    return resize(photo, (size, size)), resize(sketch, (size, size))


def write_faces(
    folder: Path, *, size: int = 64, train: int = 8, test: int = 3, template: str = "ffhq", sketches: bool = True
) -> Path:
    """Write a finished dataset without landmarks."""
    (folder / "shards").mkdir(parents=True)
    values = {
        "recipe": {
            "name": "drawn", "description": "", "sources": [{"name": "portraits", "options": {}}], "size": size,
            "upscale": False, "shard_size": 256, "align": {"template": template}, "stages": {}, "sketch": "simplify",
            "store": [], "labels": False, "photo": {"format": "jpeg", "quality": 95},
        },
        "depends_on": {},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**values, "hash": recipe.digest(values)}))
    rows = []
    for split, numbers in (("train", range(train)), ("test", range(train, train + test))):
        if numbers:
            rows += _write_shard(folder, split, numbers, size, sketches)
    keep = schema.index_schema().names
    shards.write_parquet(schema.shard_table(rows).select(keep), folder / "index.parquet")
    shards.write_parquet(schema.failure_schema().empty_table(), folder / "failures.parquet")
    return folder


def _write_shard(folder: Path, split: str, numbers: range, size: int, sketches: bool) -> list[dict]:
    writer, rows = shards.ShardWriter(folder / "shards" / f"{split}-000000.tar"), []
    for number in numbers:
        photo, sketch = draw(number, size)
        files = {"photo.jpg": images.encode_jpeg(photo)}
        if sketches:
            files["sketch.png"] = images.encode_png(sketch)
        members = writer.add(number, files)
        row = {
            "ordinal": number, "id": f"face-{number}", "source": "portraits", "split": split,
            "shard": f"{split}-000000", "sha256": f"{number:064x}", "width": 512, "height": 512,
            "matrix": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "landmarks": None, "pose": None, "attributes": None,
            "windows": None,
        }  # fmt: skip
        row["members"] = [{key: getattr(m, key) for key in ("name", "offset", "size", "sha256")} for m in members]
        rows.append(row)
    size_bytes, digest = writer.close()
    meta = {"photos": len(rows), "pairs": len(rows), "tar_bytes": size_bytes, "tar_sha256": digest}
    shards.write_parquet(schema.shard_table(rows), folder / "shards" / f"{split}-000000.parquet", meta)
    return rows
