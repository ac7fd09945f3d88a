"""Train a StyleGAN2 on photos: a base for sketches to customise, of any class of pictures."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from sketchprep.core import weights
from sketchprep.models.gansketching.training.photos import Photos
from sketchprep.models.gansketching.training.settings import StyleGAN2Settings
from sketchprep.models.gansketching.training.stylegan2_task import StyleGAN2Task
from sketchprep.training import checkpoint, curves, devices, presets, run_dir
from sketchprep.training.budget import Cost
from sketchprep.training.call import TrainingCall, carry_out, prepare
from sketchprep.training.logs import STATS

if TYPE_CHECKING:
    from sketchprep.training.loop import Result

__all__ = ["export_stylegan2", "train_stylegan2"]

PRESETS = "stylegan2"


def train_stylegan2(
    data: str | Path,
    run: str | Path,
    *,
    preset: str = "tiny",
    overrides: Iterable[str] = (),
    **call: Unpack[TrainingCall],
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
    **call
        See `sketchprep.training.call.TrainingCall`.

    Returns
    -------
    Result or Cost
        Both have a `text`; a result has an `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments or the photos, and as `sketchprep.training.loop.fit`.
    """
    options, settings = prepare(partial(presets.load, PRESETS, preset, StyleGAN2Settings, overrides), run, call)
    weights.path("hed")  # for the score: better missed now than at the first checkpoint
    s = settings
    photos = Photos(data, size=s.size, split=s.split, limit=s.limit, flip=s.flip, seed=options.seed)
    result = carry_out(StyleGAN2Task(settings, photos), run, options, call)
    if isinstance(result, Cost):
        return result
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

    source = checkpoint.read_run_of(StyleGAN2Task.name, Path(run), "train stylegan2")
    fields = {
        key: source.settings["task"][key] for key in StyleGAN2Settings.model_fields if key in source.settings["task"]
    }
    net = StyleGAN2Settings.model_validate(fields).architecture()
    generator, critic = Generator(net), Discriminator(net)
    checkpoint.fill(generator, source.tensors("generator.ema"), f"{source.path}/generator.ema")
    checkpoint.fill(critic, source.tensors("discriminator"), f"{source.path}/discriminator")
    with run_dir.disk_errors(Path(run)):
        return save_stylegan2(Path(run), generator, discriminator=critic, facts={**facts_of(source), **(about or {})})
