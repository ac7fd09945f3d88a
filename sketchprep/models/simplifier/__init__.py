"""The sketch simplifier: training data, training, evaluation, cleaning of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchprep.nn.simplifier import Simplifier

NETWORK = "sketchprep-simplifier"
FILE = "simplifier.safetensors"


def load(path: str | Path, *, device: str = "cpu") -> Simplifier:
    """Open weights of the simplifier, see `sketchprep.nn.simplifier.load_simplifier`."""
    from sketchprep.nn.simplifier import load_simplifier

    return load_simplifier(Path(path) / FILE if Path(path).is_dir() else path, device=device)
