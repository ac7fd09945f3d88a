"""Train a baseline: straight from sketch to photo, on the same pairs as DeepFaceDrawing."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from sketchprep.models.pix2pix.settings import plan
from sketchprep.models.pix2pix.task import BaselineTask
from sketchprep.training import curves, devices
from sketchprep.training.budget import Cost
from sketchprep.training.call import TrainingCall, carry_out, prepare
from sketchprep.training.export import licences
from sketchprep.training.logs import STATS

if TYPE_CHECKING:
    from sketchprep.training.loop import Result

__all__ = ["train_baseline"]


def train_baseline(
    data: str | Path,
    run: str | Path,
    *,
    network: str = "unet",
    preset: str = "small",
    overrides: Iterable[str] = (),
    **call: Unpack[TrainingCall],
) -> Result | Cost:
    """Train a baseline; the same call again resumes.

    Parameters
    ----------
    data : path
        The dataset that the model was trained on which this one is compared with.
    run : path
        The run's folder.  Finished or stopped, a run leaves ``baseline.safetensors``, its card and ``curves.png``.
    network, preset, overrides
        See `sketchprep.models.pix2pix.settings.plan`.
    **call
        See `sketchprep.training.call.TrainingCall`.

    Returns
    -------
    Result or Cost
        Both have a `text`; a result has an `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments or the dataset, and as `sketchprep.training.loop.fit`.
    """
    options, settings = prepare(partial(plan, network, preset, overrides), run, call)
    faces, others = settings.faces(data, seed=options.seed), settings.held_out(data)
    task = BaselineTask(network, settings, faces, held_out=others, seed=options.seed)
    result = carry_out(task, run, options, call)
    if isinstance(result, Cost):
        return result
    if devices.first_process():
        from sketchprep.models.pix2pix.export import export_baseline

        export_baseline(result.run, about={"preset": preset, "licences": licences(data)})
        curves.write(result.run, {network: result.run / STATS})
    return result
