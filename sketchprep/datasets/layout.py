"""Names, markers and paths of a dataset on disk."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MERGE_STAGE",
    "SPLITS",
    "UNMERGED",
    "Totals",
    "complete_shards",
    "is_shard_name",
    "plan_path",
    "read_recipe",
    "stored_environment",
]

SPLITS = ("train", "val", "test")
LARGEST = 4096  # frame in pixels
# What is read of recipe.yaml, without the recipe's model: pydantic is slow to load, and later versions have more keys.
_STORED: dict[str, Any] = {
    "recipe": {
        "name": str,
        "sources": [{"name": str}],
        "size": int,
        "shard_size": int,
        "align": {"template": str},
        "stages": {...: {"op": str, "input": str}},
        "sketch": str | None,
        "store": [str],
        "labels": bool,
        "photo": {"format": str},
    },
    "depends_on": {...: object},
}
# Marker: exists from the start of work on shards until index, card and preview are written.
UNMERGED = Path("log") / "unmerged"
# `stage` of the failures that a merge adds: photos whose bytes an earlier one has.
MERGE_STAGE = "merge"


@dataclass
class Totals:
    """Sums over the shards of a dataset.

    Attributes
    ----------
    pairs, bytes : int
        Pairs, and bytes of the tars.
    failures : Counter
        (rejected, kind) to number of photos, over the plan and the shards.
    failed : int
        Photos of the shards that could not be processed.
    """

    pairs: int = 0
    bytes: int = 0
    failures: Counter[tuple[bool, str]] = field(default_factory=Counter)
    failed: int = 0

    def count(self, rows: pa.Table) -> int:
        """Add rows of failures; return how many of them are photos that could not be processed."""
        groups = rows.group_by(["rejected", "kind"]).aggregate([([], "count_all")]).to_pylist()
        for group in groups:
            self.failures[bool(group["rejected"]), group["kind"]] += group["count_all"]
        return sum(group["count_all"] for group in groups if not group["rejected"])


def is_shard_name(text: str) -> bool:
    """Whether a text is the name of a shard, ``train-000000``."""
    return re.fullmatch(rf"(?:{'|'.join(SPLITS)})-[0-9]{{6,9}}", text) is not None


def complete_shards(out: Path) -> list[str]:
    """Sorted names of the shards whose Parquet file, the completion marker, exists; no file is opened."""
    try:
        names = os.listdir(out / "shards")
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".parquet") for name in names if name.endswith(".parquet") and name[0] != ".")


def plan_path(out: Path) -> Path:
    """Path of a dataset's plan.

    Raises
    ------
    UserError
        If there is none.
    """
    path = out / "plan.parquet"
    if not path.is_file():
        raise UserError(f"{out}: holds no planned dataset (plan.parquet is missing); make one with `sketchprep build`")
    return path


def stored_environment(folder: Path) -> dict[str, Any]:
    """What ``recipe.yaml`` says the bytes depend on; empty where nothing was begun."""
    return dict(read_recipe(folder).get("depends_on") or {}) if (folder / "recipe.yaml").exists() else {}


def read_recipe(folder: Path) -> dict[str, Any]:
    """Read ``recipe.yaml`` of a dataset: ``recipe``, ``depends_on`` and ``hash``."""
    import yaml

    from sketchprep.core.yaml_values import read_values

    path = folder / "recipe.yaml"
    try:
        values = read_values(path)
    except OSError:
        raise UserError(
            f"{folder}: holds no dataset (recipe.yaml is missing); make one with `sketchprep build`"
        ) from None
    except yaml.YAMLError:
        values = None
    if not _fits(values, _STORED) or not 0 < values["recipe"]["size"] <= LARGEST:
        raise UserError(f"{path}: is damaged; build into a new folder with -o")
    return values


def _fits(value: Any, shape: Any) -> bool:
    """Whether plain values have the keys and types of a shape; `...` stands for any key."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(inner, shape[0]) for inner in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape) and (shape is not int or not isinstance(value, bool))
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return False
    if ... in shape:
        return all(_fits(inner, shape[...]) for inner in value.values())
    return all(key in value and _fits(value[key], inner) for key, inner in shape.items())
