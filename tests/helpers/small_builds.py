"""Small builds in this process, the digests of what they promise, and a recipe with networks in its middle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from quick import QUICK

import sketchprep
from sketchprep.datasets.build.build import Result

NETWORKS: dict[str, Any] = {
    **QUICK,
    "name": "networks",
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


def promised(out: Path) -> dict[str, str]:
    """Digests of all files whose bytes a dataset promises."""
    paths = [*(out / n for n in ("index.parquet", "plan.parquet", "recipe.yaml")), *sorted((out / "shards").iterdir())]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def build(photos: Path, out: Path, rec: dict = QUICK, **options: Any) -> Result:
    """Build in this process."""
    return sketchprep.build(**{"recipe": rec, "root": photos, "out": out, "jobs": 1, "quiet": True, **options})
