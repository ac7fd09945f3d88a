"""A recipe whose work falls into two halves: a small network, and stages before it, beside it and after it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from quick import QUICK

import sketchprep

TWO: dict[str, Any] = {
    **QUICK,
    "name": "two",
    "stages": {
        **QUICK["stages"],
        "drawn": {"op": "simplify", "input": "photocopy"},
        "seen": {"op": "simplify"},
        "tidied": {"op": "tidy", "input": "drawn"},
        "whole": {"op": "complete", "input": "tidied"},
    },
    "sketch": "whole",
    "store": ["canny", "seen", "drawn", "simplify"],
    "dtype": "float32",
    "batch": 2,
    "shard_size": 3,
}
# A frame that reaches beyond the photos, their format kept without loss, and one that no face is found in.
WIDE: dict[str, Any] = {
    **TWO, "name": "wide", "align": {"template": "apdrawing"}, "upscale": True, "photo": {"format": "png"},
    "select": {"min_eye_distance": 60},
}  # fmt: skip


def promised(out: Path) -> dict[str, str]:
    """Digests of all files whose bytes a dataset promises."""
    paths = [*(out / n for n in ("index.parquet", "plan.parquet", "recipe.yaml")), *sorted((out / "shards").iterdir())]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def build(
    photos: Path, out: Path, part: str | None = None, rec: dict = TWO, **options
) -> sketchprep.datasets.build.build.Result:
    """Build in this process."""
    words = {"recipe": rec, "root": photos, "out": out, "jobs": 1, "quiet": True}
    return sketchprep.build(**{**words, **options}, part=part)
