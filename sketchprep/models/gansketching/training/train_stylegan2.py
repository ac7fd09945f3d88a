"""Train a StyleGAN2 on photos: a base for sketches to customise, of any class of pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.models.gansketching.training.photos import Photos
from sketchprep.models.gansketching.training.settings import StyleGAN2Settings
from sketchprep.models.gansketching.training.stylegan2_task import StyleGAN2Task
from sketchprep.training import checkpoint, curves, devices, presets, run_dir
from sketchprep.training.logs import STATS

if TYPE_CHECKING:
    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result

__all__ = ["export_stylegan2", "train_stylegan2"]

PRESETS = "stylegan2"


def train_stylegan2(
    data: str | Path,
    run: str | Path,
    *,
    preset: str = "tiny",
    overrides: Iterable[str] = (),
    max_minutes: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    dry_run: bool = False,
    init_from: str | Path | None = None,
    quiet: bool = False,
) -> Result | Cost:
    """Train a StyleGAN2; the same call again resumes.

    Parameters
    ----------
    data : path
        A built dataset, whose photos are taken, or a folder or zip with pictures of any kind.
    run : path
        The run's folder.  Finished or stopped, a run leaves ``stylegan2.safetensors`` and ``curves.png``.
    preset, overrides
        Of ``pipelines/stylegan2.yaml``, and ``key=value`` changes to it.
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
        For any mistake in the arguments or the photos, and as `sketchprep.training.loop.fit`.
    """
    options, settings = presets.load(
        PRESETS, preset, StyleGAN2Settings, overrides, max_minutes=max_minutes, seed=seed, device=device
    )
    devices.patient_threads()
    options = devices.resolve(options)
    run_dir.check_init_from(Path(run), Path(init_from) if init_from else None)
    s = settings
    photos = Photos(data, size=s.size, split=s.split, limit=s.limit, flip=s.flip, seed=options.seed)
    task = StyleGAN2Task(settings, photos)
    if dry_run:
        from sketchprep.training import budget

        return budget.dry_run(task, options)
    from sketchprep.training.loop import fit

    result = fit(task, run, options, init_from=init_from, quiet=quiet)
    if devices.first_process():
        export_stylegan2(result.run, about={"preset": preset})
        curves.write(result.run, {StyleGAN2Task.name: result.run / STATS})
    return result


def export_stylegan2(run: str | Path, *, about: dict[str, Any] | None = None) -> Path:
    """Write the averaged generator and the discriminator of a run's newest checkpoint as ``stylegan2.safetensors``.

    Raises
    ------
    UserError
        If there is no such run, or the file cannot be written.
    """
    from sketchprep.models.gansketching.model import save_stylegan2
    from sketchprep.models.gansketching.stylegan2 import Discriminator, Generator
    from sketchprep.training.export import facts_of

    source = checkpoint.read(Path(run))
    if source.task != StyleGAN2Task.name:
        raise UserError(f"{run}: holds a run of {source.task}; name one of `sketchprep train stylegan2`")
    fields = {
        key: source.settings["task"][key] for key in StyleGAN2Settings.model_fields if key in source.settings["task"]
    }
    net = StyleGAN2Settings.model_validate(fields).architecture()
    generator, critic = Generator(net), Discriminator(net)
    checkpoint.fill(generator, source.tensors("generator.ema"), f"{source.path}/generator.ema")
    checkpoint.fill(critic, source.tensors("discriminator"), f"{source.path}/discriminator")
    with run_dir.disk_errors(Path(run)):
        return save_stylegan2(Path(run), generator, discriminator=critic, facts={**facts_of(source), **(about or {})})
