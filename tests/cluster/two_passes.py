"""A recipe whose work falls into two halves: a small network, and stages before it, beside it and after it."""

from __future__ import annotations

from typing import Any

from quick import QUICK

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
