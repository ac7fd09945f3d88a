"""A small dataset that is drawn, not photographed: what lies where in it is known to the pixel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from sketchprep.datasets import schema
from sketchprep.io import images, shards
from sketchprep.ops.face_parts import windows
from sketchprep.ops.labels import CLASSES
from sketchprep.sketching import recipe

IDS = ("plain", "a b.jpg", "new\nline.jpg", "../../up.jpg", "sub/é.jpg", "=1+2", '"quoted", comma', "...")


def draw_photo(number: int, size: int = 512) -> np.ndarray:
    y, x = np.mgrid[:size, :size] * (255 / size)
    photo = np.stack([x, y, np.full_like(x, 30 * number)], -1).astype(np.uint8)
    cv2.ellipse(photo, (size // 2, size * 9 // 16), (size // 4, size // 3), 0, 0, 360, (220, 180 - number, 150), -1)
    return photo


def draw_sketch(number: int, size: int = 512) -> np.ndarray:
    sketch = np.full((size, size), 255, np.uint8)
    cv2.ellipse(sketch, (size // 2, size * 9 // 16), (size // 4, size // 3), 0, 0, 360, 0, 2)
    cv2.line(sketch, (0, number * size // 16), (size - 1, size - 1 - number * 3), 40, 2)
    cv2.circle(sketch, (size * 3 // 8, size * 31 // 64), size // 32, 0, -1)
    return sketch


def draw_landmarks(size: int = 512, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """68 points whose eye middles, nose tip and mouth corners are exact: (193, 247), (319, 247), (256, 320), y 378."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([256 + 130 * np.cos(angle), 300 + 150 * np.sin(angle)], 1)
    points[17:27] = [(150 + 22 * i, 205) for i in range(10)]
    points[27:36] = [(256, 250 + 23 * i) for i in range(3)] + [(256, 320)] + [(236 + 10 * i, 335) for i in range(5)]
    points[30] = 256, 320
    for first, centre in ((36, (193, 247)), (42, (319, 247))):
        offsets = np.array([(-20, 0), (-8, -8), (8, -8), (20, 0), (8, 8), (-8, 8)])
        points[first : first + 6] = np.array(centre) + offsets
    turn = np.linspace(np.pi, -np.pi, 21)[:20]
    points[48:68] = np.stack([256 + 46 * np.cos(turn), 378 + 16 * np.sin(turn)], 1)
    points[48], points[54] = (210, 378), (302, 378)
    return (points + shift + 0.5) * (size / 512) - 0.5


def draw_labels(size: int = 512) -> np.ndarray:
    """Person, hair, eyes as CelebAMask-HQ names them (``r_eye`` left in the image), nose and mouth."""
    labels = np.zeros((512, 512), np.uint8)
    for name, (x0, y0, x1, y1) in {
        "hair": (120, 60, 390, 420),
        "skin": (150, 140, 360, 440),
        "nose": (236, 250, 276, 340),
        "r_eye": (172, 236, 214, 258),
        "l_eye": (298, 236, 340, 258),
        "r_brow": (165, 205, 220, 215),
        "l_brow": (292, 205, 347, 215),
        "mouth": (210, 370, 302, 386),
        "u_lip": (210, 362, 302, 370),
        "l_lip": (210, 386, 302, 396),
    }.items():
        labels[y0:y1, x0:x1] = CLASSES.index(name)
    return cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)


def write_dataset(
    folder: Path,
    *,
    size: int = 128,
    template: str = "ffhq",
    labelled: tuple[int, ...] | None = None,
    no_landmarks: tuple[int, ...] = (),
    damaged: tuple[int, ...] = (),
    train: int = 5,
    test: int = 3,
    pose: bool = True,
) -> Path:
    """Write pairs as the builder does, from drawn pictures; `labelled` of them with a label map."""
    (folder / "shards").mkdir(parents=True)
    values = {
        "recipe": {
            "name": "drawn", "description": "", "sources": [{"name": "folder", "options": {}}], "size": size,
            "upscale": False, "shard_size": 3, "align": {"template": template}, "stages": {}, "sketch": "simplify",
            "store": [], "labels": labelled is not None, "photo": {"format": "jpeg", "quality": 95},
        },
        "depends_on": {},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**values, "hash": recipe.digest(values)}))
    splits = ["train"] * train + ["test"] * test
    index = []
    for split in ("train", "test"):
        numbers = [n for n, s in enumerate(splits) if s == split]
        for at in range(0, len(numbers), 3):
            index += _write_shard(
                folder, f"{split}-{at // 3:06d}", split, numbers[at : at + 3], size, template, labelled or (),
                no_landmarks, damaged, pose,
            )  # fmt: skip
    rows = schema.shard_table(index).select(schema.index_schema().names)
    shards.write_parquet(rows, folder / "index.parquet")
    shards.write_parquet(schema.failure_schema().empty_table(), folder / "failures.parquet")
    return folder


def _write_shard(
    folder: Path, name: str, split: str, numbers: list[int], size: int, template: str, labelled: tuple[int, ...],
    no_landmarks: tuple[int, ...], damaged: tuple[int, ...], pose: bool,
) -> list[dict]:  # fmt: skip
    writer = shards.ShardWriter(folder / "shards" / f"{name}.tar")
    rows = []
    for number in numbers:
        points = None if number in no_landmarks else [round(float(v), 3) for v in draw_landmarks(size).ravel()]
        row = {
            "ordinal": number,
            "id": IDS[number % len(IDS)] if number < len(IDS) else f"more-{number}",
            "source": "folder",
            "split": split,
            "shard": name,
            "sha256": f"{number:064x}",
            "width": 512,
            "height": 512,
            "matrix": [size / 512, 0.0, (size / 512 - 1) / 2, 0.0, size / 512, (size / 512 - 1) / 2],
            "landmarks": points,
            "pose": [1.0, 2.0, float(number)] if pose else None,
            "attributes": ["Smiling", "Young"] if number % 2 else None,
            "windows": [{"part": p, **w._asdict()} for p, w in windows(size).items()] if template == "ffhq" else None,
        }
        sketch = images.encode_png(draw_sketch(number, size))
        files = {"photo.jpg": images.encode_jpeg(draw_photo(number, size)), "sketch.png": sketch}
        if number in labelled:
            files["labels.png"] = images.encode_png(draw_labels(size))
        if number in damaged:
            files["sketch.png"] = sketch[: len(sketch) // 2]
        keys = ("ordinal", "id", "source", "split", "sha256", "landmarks", "pose", "attributes", "windows")
        files["json"] = json.dumps({k: row[k] for k in keys}).encode()
        members = writer.add(number, files)
        row["members"] = [{n: getattr(m, n) for n in ("name", "offset", "size", "sha256")} for m in members]
        rows.append(row)
    size_bytes, digest = writer.close()
    meta = {"photos": len(rows), "pairs": len(rows), "tar_bytes": size_bytes, "tar_sha256": digest}
    shards.write_parquet(schema.shard_table(rows), folder / "shards" / f"{name}.parquet", meta)
    return rows


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., Path]:
    """Write a drawn dataset under the test's folder."""

    def make(name: str = "data", **options: object) -> Path:
        return write_dataset(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def draw() -> type:
    """The drawing functions."""

    class Draw:
        photo = staticmethod(draw_photo)
        sketch = staticmethod(draw_sketch)
        landmarks = staticmethod(draw_landmarks)
        labels = staticmethod(draw_labels)
        ids = IDS

    return Draw


@pytest.fixture
def hub(tmp_path: Path) -> Callable[..., dict]:
    """Open a folder with Hugging Face ``datasets`` in a process of its own, offline, and describe what it holds."""
    code = """
import json, sys
import numpy as np
from datasets import load_dataset
def plain(v):
    if hasattr(v, "convert"):
        return [v.mode, list(v.size), int(np.asarray(v, int).sum())]
    return v
data = {call}
first = next(iter(data.values()))
def samples(split):
    return [{{k: plain(v) for k, v in split[i].items()}} for i in range(min(len(split), 3))]
rows = {{n: len(s) for n, s in data.items()}}
shown = {{n: samples(s) for n, s in data.items()}}
print(json.dumps({{"columns": first.column_names, "rows": rows, "samples": shown}}))
"""

    def run(call: str, folder: Path) -> dict:
        home = tmp_path / "hf"
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HF_DATASETS_CACHE": str(home / "data")}
        command = [sys.executable, "-c", code.format(call=call), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
