"""Folders that sketchprep wrote, known by the files that it marks them with: what lies in one is no input."""

from __future__ import annotations

import json
import os
from collections.abc import Collection

__all__ = ["is_own_folder"]

# The file that marks a folder, and what lies beside it in every such folder.
DATASET = ("recipe.yaml", "shards")
RUN = ("run.yaml", "checkpoints")
# Markers of exports and component crops, see `sketchprep.core.workdir.claim_output`, and the keys in them.
OUTPUTS = ("export.json", "meta.json")
OUTPUT_KEYS = {"settings", "finished", "result"}
LARGEST = 1 << 20


def is_own_folder(path: str, names: Collection[str]) -> bool:
    """Tell whether a folder that holds `names` is a dataset, a run, an export or crops that a command made."""
    if any(marker in names and beside in names for marker, beside in (DATASET, RUN)):
        return True
    return any(name in names and _is_output_marker(os.path.join(path, name)) for name in OUTPUTS)


def _is_output_marker(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            values = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.keys() == OUTPUT_KEYS
