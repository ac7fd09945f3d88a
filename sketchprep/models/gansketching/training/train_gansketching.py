"""Train a generator to follow a handful of sketches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from sketchprep.errors import UserError
from sketchprep.models.gansketching.drawer import open_drawer
from sketchprep.models.gansketching.model import load_stylegan2, save_stylegan2
from sketchprep.models.gansketching.stylegan2 import Discriminator, Generator
from sketchprep.models.gansketching.training.photos import Photos
from sketchprep.models.gansketching.training.settings import SketchSettings
from sketchprep.models.gansketching.training.sketch_task import SketchTask
from sketchprep.models.gansketching.training.sketches import Sketches
from sketchprep.nn.checkpoint_file import in_run
from sketchprep.training import checkpoint, curves, devices, presets, run_dir
from sketchprep.training.budget import Cost
from sketchprep.training.call import TrainingCall, carry_out, prepare
from sketchprep.training.export import facts_of
from sketchprep.training.logs import STATS

if TYPE_CHECKING:
    from sketchprep.training.checkpoint import Checkpoint
    from sketchprep.training.loop import Result

__all__ = ["export_gansketching", "train_gansketching"]

PRESETS = "gansketching"


def train_gansketching(
    sketches: str | Path,
    run: str | Path,
    *,
    base: str | Path,
    photos: str | Path | None = None,
    preset: str = "default",
    overrides: Iterable[str] = (),
    **call: Unpack[TrainingCall],
) -> Result | Cost:
    """Train a copy of a generator on sketches; the same call again resumes.

    Parameters
    ----------
    sketches : path
        A folder with 1 to 30 drawings, or one drawing.
    run : path
        The run's folder: ``sheet.png`` shows the sketches as they will be used; finished or stopped, a run leaves
        ``stylegan2.safetensors``, the same of the best checkpoint in ``best/``, and ``curves.png``.
    base : path
        A run with a generator and its discriminator, trained here or imported.
    photos : path, optional
        What the base was trained on, or like it: a dataset, folder or zip; needed unless ``image=0``.
    preset, overrides
        Of ``pipelines/gansketching.yaml``, and ``key=value`` changes to it.
    **call
        See `sketchprep.training.call.TrainingCall`.

    Returns
    -------
    Result or Cost
        Both have a `text`; a result has an `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments, the sketches or the photos, and as `sketchprep.training.loop.fit`.
    """
    options, settings = prepare(partial(presets.load, PRESETS, preset, SketchSettings, overrides), run, call)
    if settings.image and photos is None:
        raise UserError("--photos: name what the base was trained on, or train without with --set image=0")
    generator, critic, mean = load_stylegan2(base)
    if critic is None:
        raise UserError(
            f"--base {base}: comes without a discriminator; name one with --discriminator at `sketchprep "
            "import-weights stylegan2`, or train a base with `sketchprep train stylegan2`"
        )
    size = generator.architecture.size
    drawings = Sketches(sketches, size=size, clean=settings.clean, seed=options.seed)
    others = Photos(photos, size=size, seed=options.seed) if settings.image and photos is not None else None
    task = SketchTask(
        settings,
        _with_shift(generator) if settings.trained == "w_shift" else generator,
        critic,
        open_drawer(settings.drawer, size=size, weights_file=settings.drawer_weights),
        drawings,
        others,
        mean=mean,
        about={"base": _checksum(base)},
    )
    if devices.first_process() and not (call.get("quiet") or call.get("dry_run")):
        _report(drawings)
    result = carry_out(task, run, options, call)
    if isinstance(result, Cost):
        return result
    if devices.first_process():
        export_gansketching(result.run, generator, about={"preset": preset})
        curves.write(result.run, {SketchTask.name: result.run / STATS})
    return result


def _with_shift(generator: Generator) -> Generator:
    """The same generator with one learnt vector, zero at first, added to w."""
    if generator.architecture.w_shift:
        return generator
    shifted = Generator(replace(generator.architecture, w_shift=True))
    shifted.load_state_dict(generator.state_dict(), strict=False)
    return shifted.eval().requires_grad_(False)


def _checksum(base: str | Path) -> str:
    from sketchprep.core.weights_download import sha256_of
    from sketchprep.models.gansketching import FILE

    return sha256_of(in_run(base, FILE))


def _report(drawings: Sketches) -> None:
    """Say what was done to the sketches, and what was left out."""
    refused = (f"{name}: left out: {reason}" for name, reason in drawings.refused)
    for line in (f"{len(drawings)} sketches, shown in sheet.png of the run", *drawings.notes, *refused):
        print(line)


def export_gansketching(run: str | Path, base: Generator, *, about: dict[str, Any] | None = None) -> Path:
    """Write a run's newest generator as ``stylegan2.safetensors``, and that of its best checkpoint into ``best/``.

    Parameters
    ----------
    run : path
    base : Generator
        What the run began with.
    about : dict, optional
        Further facts for the header.

    Raises
    ------
    UserError
        If there is no such run, or the files cannot be written.
    """
    run = Path(run)
    newest = checkpoint.read_run_of(SketchTask.name, run, "train gansketching")
    path = _export(newest, run, base, about)
    best = checkpoint.smallest(run, "sketch_distance")
    if best is not None:
        _export(best, run / "best", base, about)
    return path


def _export(source: Checkpoint, out: Path, base: Generator, about: dict[str, Any] | None) -> Path:
    net = replace(
        base.architecture, w_shift=base.architecture.w_shift or source.settings["task"]["trained"] == "w_shift"
    )
    generator = Generator(net)
    checkpoint.fill(generator, source.tensors("generator"), f"{source.path}/generator")
    critic = None
    if "image_critic" in source.modules():
        critic = Discriminator(net)
        checkpoint.fill(critic, source.tensors("image_critic"), f"{source.path}/image_critic")
    with run_dir.disk_errors(out):
        return save_stylegan2(out, generator, discriminator=critic, facts={**facts_of(source), **(about or {})})
