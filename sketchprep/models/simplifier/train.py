"""Training of the sketch simplifier: rough drawings and photocopies to clean lines."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from sketchprep.core import runtime
from sketchprep.errors import UserError
from sketchprep.models.simplifier.data.prepare import mix_of, prepared
from sketchprep.models.simplifier.data.sampler import pair_sheet
from sketchprep.models.simplifier.settings import Settings
from sketchprep.models.simplifier.task import SimplifierTask
from sketchprep.training import presets
from sketchprep.training.budget import Cost
from sketchprep.training.call import TrainingCall, carry_out, prepare

if TYPE_CHECKING:
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
    **call: Unpack[TrainingCall],
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
    **call
        See `sketchprep.training.call.TrainingCall`.

    Returns
    -------
    Result or Cost
        Both have a `text`; a result has an `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments, and as `sketchprep.training.loop.fit`.
    """
    options, settings = prepare(partial(presets.load, "simplifier", preset, Settings, overrides), run, call)
    task = _task(options, settings, photos, cache, quiet=call.get("quiet", False))  # the lines may take minutes
    result = carry_out(task, run, options, call)
    if isinstance(result, Cost):
        return result
    if not result.stopped_by:
        from sketchprep.models.simplifier.export import export_weights

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
