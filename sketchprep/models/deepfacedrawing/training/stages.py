"""Resolve which stages a training runs, with what options, settings and share of the time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.training.settings import Settings
from sketchprep.ops.face_parts import PARTS
from sketchprep.training import devices, presets
from sketchprep.training.options import Options

__all__ = ["CE", "FM_IS", "STAGES", "Plan", "plan", "stages_wanted"]

MODEL, CE, FM_IS = "deepfacedrawing", "ce", "fm-is"
STAGES = (CE, FM_IS)

Plan = tuple[Options, Settings]


def stages_wanted(stage: str, part: str | None, encoders: str | Path | None) -> tuple[str, ...]:
    """The stages that ``--stage`` names; UserError if it is unknown or the other options do not go with it."""
    if stage not in ("all", *STAGES):
        raise UserError(f"--stage {stage}: unknown; known: all, {', '.join(STAGES)}")
    if part is not None and part not in PARTS:
        raise UserError(f"--part {part}: unknown; known: {', '.join(PARTS)}")
    if part is not None and stage != CE:
        raise UserError(f"--part {part}: trains one autoencoder of stage 1; add --stage ce")
    if encoders is not None and stage != FM_IS:
        raise UserError(f"--encoders {encoders}: takes the place of stage 1; add --stage fm-is")
    return STAGES if stage == "all" else (stage,)


def plan(
    wanted: Iterable[str], preset: str, overrides: Iterable[str], max_minutes: float | None, **values: Any
) -> dict[str, Plan]:
    """Options, on a device that is there, and settings of each stage.

    Parameters
    ----------
    wanted : iterable of str
        Stages.
    preset : str
        Of ``pipelines/deepfacedrawing.yaml``.
    overrides : iterable of str
        See `sketchprep.training.presets.load`.
    max_minutes : float, optional
        For all stages; those without a ``max_minutes`` of their own share what the others leave.
    **values
        Keys that replace the preset's; None leaves them alone.

    Raises
    ------
    UserError
        As `presets.load` and `devices.resolve`, and if no time is left for a stage.
    """
    overrides, plans = tuple(overrides), {}
    for stage in wanted:
        options, settings = presets.load(MODEL, preset, Settings, overrides, stage=stage, **values)
        plans[stage] = devices.resolve(options), settings
    open_ended = [stage for stage, (options, _) in plans.items() if options.max_minutes is None]
    if max_minutes is None or not open_ended:
        return plans
    share = (max_minutes - sum(options.max_minutes or 0 for options, _ in plans.values())) / len(open_ended)
    if share <= 0:
        raise UserError(f"--max-minutes {max_minutes:g}: leaves no time for stage {open_ended[0]}; give more")
    return {
        stage: (options.model_copy(update={"max_minutes": share}) if stage in open_ended else options, settings)
        for stage, (options, settings) in plans.items()
    }
