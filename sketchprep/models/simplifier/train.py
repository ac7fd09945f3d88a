"""Training of the sketch simplifier: rough drawings and photocopies to clean lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.core import runtime
from sketchprep.errors import UserError
from sketchprep.models.simplifier.data.prepare import mix_of, prepared
from sketchprep.models.simplifier.data.sampler import pair_sheet
from sketchprep.models.simplifier.settings import Settings
from sketchprep.models.simplifier.task import SimplifierTask
from sketchprep.training import devices, presets
from sketchprep.training.run_dir import check_init_from

if TYPE_CHECKING:
    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result
    from sketchprep.training.options import Options

__all__ = ["draw_pairs", "train_simplifier"]

SHEET = 24  # pairs on a contact sheet


def train_simplifier(
    run: str | Path,
    *,
    preset: str = "cpu",
    photos: str | Path | None = None,
    cache: str | Path | None = None,
    overrides: Iterable[str] = (),
    max_minutes: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    dry_run: bool = False,
    init_from: str | Path | None = None,
    quiet: bool = False,
) -> Result | Cost:
    """Train the simplifier; the same call again resumes.

    Parameters
    ----------
    run : path
        The run's folder.  A finished run leaves ``simplifier.safetensors`` and its card there, see
        `sketchprep.models.simplifier.export.export_weights`.
    preset : str
        Of ``pipelines/simplifier.yaml``.
    photos : path, optional
        Folder of portraits for the teacher; default the bundled ones.
    cache : path, optional
        Where portraits with their lines are kept; default a folder for these photos in the cache of the package.
    overrides : iterable of str
        ``key=value`` changes to the preset, for instance ``"mix=no-teacher"``.
    max_minutes : float, optional
        Time budget, see `sketchprep.training.options.Options`.
    seed : int, optional
        Of weights and pairs.
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dry_run : bool
        Only measure a few steps.
    init_from : path, optional
        Run or checkpoint with weights to initialise from.
    quiet : bool
        No bar.

    Returns
    -------
    Result or Cost
        Both have a `text`; a result has an `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments, and as `sketchprep.training.loop.fit`.
    """
    options, settings = presets.load(
        "simplifier", preset, Settings, overrides, max_minutes=max_minutes, seed=seed, device=device
    )
    devices.patient_threads()
    check_init_from(Path(run), Path(init_from) if init_from else None)  # the teacher's lines may take minutes
    task = _task(options, settings, photos, cache, quiet=quiet)
    if dry_run:
        from sketchprep.training import budget

        return budget.dry_run(task, options)
    from sketchprep.models.simplifier.export import export_weights
    from sketchprep.training.loop import fit

    result = fit(task, run, options, init_from=init_from, quiet=quiet)
    if not result.stopped_by:
        export_weights(result.run)
    return result


def draw_pairs(
    path: str | Path,
    *,
    preset: str = "cpu",
    photos: str | Path | None = None,
    cache: str | Path | None = None,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    device: str | None = None,
    quiet: bool = False,
) -> None:
    """Write a contact sheet of the first pairs that a run would be trained on, rough beside clean.

    Parameters
    ----------
    path : path
        Ending in ``.jpg`` or ``.png``.
    preset, photos, cache, overrides, seed, device, quiet
        As for `train_simplifier`.

    Raises
    ------
    UserError
        For any mistake in the arguments, and if the sheet cannot be written.
    """
    from sketchprep.io.contact_sheet import save_picture

    if Path(path).suffix.lower() not in {".jpg", ".jpeg", ".png"}:
        raise UserError(f"--sheet {path}: must end in .jpg or .png")
    options, settings = presets.load("simplifier", preset, Settings, overrides, seed=seed, device=device)
    task = _task(options, settings, photos, cache, quiet=quiet)
    save_picture(pair_sheet(task.pairs, range(SHEET)), Path(path), option="--sheet")


def _task(
    options: Options, settings: Settings, photos: str | Path | None, cache: str | Path | None, *, quiet: bool
) -> SimplifierTask:
    """The task, with the teacher's lines drawn if its mix needs them."""
    shares = mix_of(settings.mix).shares
    teacher = shares["photocopies"] + shares["teacher_lines"] > 0
    folder = prepared(photos, cache, device=runtime.resolve_device(options.device), quiet=quiet) if teacher else None
    return SimplifierTask(settings, seed=options.seed, cache=folder)
