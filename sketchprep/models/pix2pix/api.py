"""The baselines in one call: train them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result

__all__ = ["train"]


def train(data: str | Path, run: str | Path, **options: Any) -> Result | Cost:
    """Train a baseline, see `sketchprep.models.pix2pix.train.train_baseline`."""
    from sketchprep.models.pix2pix.train import train_baseline

    return train_baseline(data, run, **options)
