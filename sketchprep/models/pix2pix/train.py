"""Train a baseline: straight from sketch to photo, on the same pairs as DeepFaceDrawing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.models.pix2pix.settings import plan
from sketchprep.models.pix2pix.task import BaselineTask
from sketchprep.training import curves, devices, run_dir
from sketchprep.training.export import licences
from sketchprep.training.logs import STATS

if TYPE_CHECKING:
    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result

__all__ = ["train_baseline"]


def train_baseline(
    data: str | Path,
    run: str | Path,
    *,
    network: str = "unet",
    preset: str = "small",
    overrides: Iterable[str] = (),
    max_minutes: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    dry_run: bool = False,
    init_from: str | Path | None = None,
    quiet: bool = False,
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
    max_minutes : float, optional
        Time budget, see `sketchprep.training.options.Options`.
    seed : int, optional
        Of weights, order and variations.
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dry_run : bool
        Only measure a few steps.
    init_from : path, optional
        Run or checkpoint with weights to initialise from.
    quiet : bool
        No bar and no lines.

    Returns
    -------
    Result or Cost
        Both have a `text`; a result has an `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments or the dataset, and as `sketchprep.training.loop.fit`.
    """
    devices.patient_threads()
    options, settings = plan(network, preset, overrides, max_minutes=max_minutes, seed=seed, device=device)
    options = devices.resolve(options)
    run_dir.check_init_from(Path(run), Path(init_from) if init_from else None)
    faces, others = settings.faces(data, seed=options.seed), settings.held_out(data)
    task = BaselineTask(network, settings, faces, held_out=others, seed=options.seed)
    if dry_run:
        from sketchprep.training import budget

        return budget.dry_run(task, options)
    from sketchprep.training.loop import fit

    result = fit(task, run, options, init_from=init_from, quiet=quiet)
    if devices.first_process():
        from sketchprep.models.pix2pix.export import export_baseline

        export_baseline(result.run, about={"preset": preset, "licences": licences(data)})
        curves.write(result.run, {network: result.run / STATS})
    return result
