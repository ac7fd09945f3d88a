"""The two baselines: pix2pix (U-Net) and the pix2pixHD global generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchprep.models.pix2pix.model import Baseline

NETWORK = "sketchprep-baseline"
FILE = "baseline.safetensors"


def load(path: str | Path, *, device: str = "cpu") -> Baseline:
    """Open a baseline, see `sketchprep.models.pix2pix.model.load_baseline`."""
    from sketchprep.models.pix2pix.model import load_baseline

    return load_baseline(path, device=device)
