"""The header of a dataset card by which Hugging Face ``datasets`` opens the shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["header"]


def header(splits: Sequence[str], members: Sequence[str]) -> dict[str, Any]:
    """Return the keys ``configs`` and ``dataset_info`` of the card's YAML header.

    The columns are written out because ``datasets`` would otherwise derive them from the first five pairs, and refuse
    a dataset in which only some pairs have a label map, landmarks or a pose.

    Parameters
    ----------
    splits : sequence of str
        The splits that have shards.
    members : sequence of str
        Stored pictures, for instance ``["photo.jpg", "sketch.png", "labels.png"]``.

    Returns
    -------
    dict
        Plain values for `yaml.safe_dump`.
    """
    files = [{"split": split, "path": f"shards/{split}-*.tar"} for split in splits]
    columns = [
        *({"name": member, "dtype": "image"} for member in members),
        {"name": "json", "struct": _described()},
        *({"name": name, "dtype": "string"} for name in ("__key__", "__url__")),
    ]
    return {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"config_name": "default", "features": columns},
    }


def _described() -> list[dict[str, Any]]:
    """Columns of ``KEY.json``."""
    window = [
        {"name": "part", "dtype": "string"},
        *({"name": n, "dtype": "int64"} for n in ("x", "y", "width", "height")),
    ]
    return [
        {"name": "ordinal", "dtype": "int64"},
        *({"name": name, "dtype": "string"} for name in ("id", "source", "split", "sha256")),
        {"name": "landmarks", "list": "float64"},
        {"name": "pose", "list": "float64"},
        {"name": "attributes", "list": "string"},
        {"name": "windows", "list": window},
    ]
