"""What DeepFaceDrawing's two stages cost, from the accounts of their runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sketchprep.models.deepfacedrawing.training.stage1_weights import folder_of
from sketchprep.models.deepfacedrawing.training.stages import FM_IS
from sketchprep.ops.face_parts import PARTS
from sketchprep.training.cost import Trained, settings_of, total
from sketchprep.training.run_dir import account

__all__ = ["of_model"]


def of_model(folder: Path, facts: Mapping[str, Any], parameters: int) -> Trained:
    """The training of both stages in a run's folder, by the facts in the model's header."""
    images = facts.get("images") or {}
    second = account(folder / FM_IS, images.get(FM_IS))
    most = max((images.get("ce") or {}).values(), default=None)
    return Trained(
        total(images.get(FM_IS), second.images_before),
        total(most, account(folder_of(folder, None)).images_before),
        _first_hours(folder.resolve()),
        total(second.hours, second.hours_before),
        parameters,
        **settings_of(facts),
        machine=second.machine,
    )


def _first_hours(folder: Path) -> float | None:
    """Hours of stage 1: all parts together, parts trained alone on top, and what these were initialised from."""
    accounts = [account(folder_of(folder, part)) for part in (None, *PARTS)]
    accounts = [one for one in accounts if one.hours is not None]
    # A part that continues the run of all parts has the hours of that run in its account already.
    outside = {
        one.init_from: one.hours_before
        for one in accounts
        if one.init_from is not None and folder not in one.init_from.resolve().parents
    }
    return total(*(one.hours for one in accounts), *outside.values()) if accounts else None
