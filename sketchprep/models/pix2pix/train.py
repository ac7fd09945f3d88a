"""Training of the networks that DeepFaceDrawing is compared with: straight from sketch to photo, on the same pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.core.resources import resource
from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.io.files import atomic
from sketchprep.models.deepfacedrawing.training.export import licences
from sketchprep.models.deepfacedrawing.training.settings import ARCHITECTURE, Settings
from sketchprep.training import checkpoint, curves, devices, presets, run_dir
from sketchprep.training.export import facts_of, write_with_card
from sketchprep.training.paired_gan import FaceGan
from sketchprep.training.run_dir import check_init_from

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result
    from sketchprep.training.options import Options
    from sketchprep.training.paired_data import PairedFaces

__all__ = ["BaselineTask", "export_baseline", "train_baseline"]

STAGE, CURVES = "fm-is", "curves.png"
SHAPE = ("size", "ngf", "downs", "blocks", "upsample")


class BaselineTask(FaceGan):
    """A network from sketches to photos against the discriminators of stage 2.

    Parameters
    ----------
    network : {"unet", "global"}
    settings, faces, held_out, seed
        See `sketchprep.training.paired_gan.FaceGan`; of the networks' numbers those that `Shape` has count.
    """

    name = "baseline"

    def __init__(
        self,
        network: str,
        settings: Settings,
        faces: PairedFaces,
        *,
        held_out: PairedFaces | None = None,
        seed: int = 0,
    ) -> None:
        from sketchprep.models.pix2pix.model import Shape

        super().__init__(settings, faces, held_out=held_out, seed=seed)
        if settings.condition != "sketch":
            raise UserError(f"condition={settings.condition}: a baseline has no feature maps; leave it at sketch")
        self.shape = Shape(network, **{key: getattr(settings, key) for key in SHAPE})

    def generator(self) -> nn.Module:
        return self.shape.build()

    def photos(
        self, modules: Mapping[str, nn.Module], sketch: Tensor, flip: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        return modules["generator"](sketch), None

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        unused = set(ARCHITECTURE) - set(SHAPE) | {"fm_start", "fm_train"}
        unused |= {"downs", "blocks"} if self.shape.network == "unet" else set()
        kept = {key: value for key, value in described.items() if key not in unused}
        return {"network": self.shape.network, **kept}


def plan(network: str, preset: str, overrides: Iterable[str] = (), **values: Any) -> tuple[Options, Settings]:
    """The options and settings of stage 2 under a preset, with the shape of a baseline.

    Parameters
    ----------
    network : {"unet", "global"}
    preset : str
        Of ``pipelines/deepfacedrawing.yaml`` and ``pipelines/baselines.yaml``.
    overrides : iterable of str
        As for `sketchprep.models.deepfacedrawing.training.train.train_deepfacedrawing`, so that one list of changes
        serves both.
    **values
        Top-level keys that replace the preset's; None leaves them alone.

    Raises
    ------
    UserError
        For an unknown network, preset or key, or a value of the wrong type or range.
    """
    shapes = yaml.safe_load((resource("pipelines") / "baselines.yaml").read_text(encoding="utf-8"))
    if preset not in shapes:
        raise UserError(f"--preset {preset}: unknown; known: {', '.join(shapes)}")
    if network not in shapes[preset]:
        raise UserError(f"--network {network}: unknown; known: {', '.join(shapes[preset])}")
    shape = [f"{key}={value}" for key, value in shapes[preset][network].items()]
    return presets.load("deepfacedrawing", preset, Settings, [*shape, *overrides], stage=STAGE, **values)


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
    """Train a baseline; the same call again goes on where an earlier one stopped.

    Parameters
    ----------
    data : path
        The dataset that the model was trained on which this one is compared with.
    run : path
        The run's folder.  Finished or stopped, a run leaves ``baseline.safetensors``, its card and ``curves.png``.
    network, preset, overrides
        See `plan`.
    max_minutes, seed, device, dry_run, init_from, quiet
        See `sketchprep.models.deepfacedrawing.training.train.train_deepfacedrawing`.

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
    check_init_from(Path(run), Path(init_from) if init_from else None)
    faces, others = settings.faces(data, seed=options.seed), settings.held_out(data)
    task = BaselineTask(network, settings, faces, held_out=others, seed=options.seed)
    if dry_run:
        from sketchprep.training import budget

        return budget.dry_run(task, options)
    from sketchprep.training.loop import fit

    result = fit(task, run, options, init_from=init_from, quiet=quiet)
    if devices.first_process():
        export_baseline(result.run, about={"preset": preset, "licences": licences(data)})
        picture = curves.draw({network: result.run / "stats.jsonl"})
        if picture is not None:
            with run_dir.disk_errors(result.run), atomic(result.run / CURVES) as temporary:
                temporary.write_bytes(images.encode_png(picture, level=6))
    return result


def export_baseline(run: str | Path, out: str | Path | None = None, *, about: dict[str, Any] | None = None) -> Path:
    """Write the network of a run's newest checkpoint for `sketchprep.models.pix2pix.model.load_baseline`.

    Parameters
    ----------
    run : path
        A run of `train_baseline` that has a checkpoint, finished or not.
    out : path, optional
        The file; default ``baseline.safetensors`` in the run.  The card has the same stem and ends in ``.md``.
    about : dict, optional
        Further facts: ``preset``, ``licences``.

    Raises
    ------
    UserError
        If there is no such run, or the file cannot be written.
    """
    from sketchprep.models.pix2pix.model import FILE, Shape, save_baseline

    found = checkpoint.read(Path(run))
    if found.task != BaselineTask.name:
        raise UserError(f"{run}: holds a run of {found.task}; name one of `sketchprep train baseline`")
    task, facts = found.settings["task"], {**facts_of(found), **(about or {})}
    shape = Shape(task["network"], **{key: task[key] for key in SHAPE if key in task})
    return write_with_card(
        Path(out) if out else Path(run) / FILE,
        lambda path: save_baseline(found.tensors("generator.ema"), shape, path, facts=facts),
        lambda size: card(facts, size),
    )


def card(facts: dict[str, Any], size: int) -> str:
    """Model card in Markdown of what a header of `size` bytes of model says."""
    from sketchprep.models.pix2pix.model import NETWORKS

    task, data = facts["task"], facts["task"]["data"]
    title = NETWORKS[task["network"]]
    asked = "\n".join(f"- {line}" for line in facts.get("licences", [])) or "- unknown: see the dataset's own card"
    scores = "\n".join(f"| {name} | {value:.4f} |" for name, value in facts["scores"].items())
    weights = ", ".join(
        f"{task[key]:g} {key.replace('_', ' ')}" for key in ("gan", "feature_matching", "l1", "perceptual")
    )
    preset = f", preset `{facts['preset']}`" if "preset" in facts else ""
    return f"""# {title}, {task["size"]} px

Straight from a sketch of a front face, black ink on white in the FFHQ frame, to a photo; made to be compared with
DeepFaceDrawing{preset}; {size / 1e6:.1f} MB of float16 safetensors.

## Data and licence

Trained on {data["pairs"]:,} pairs (split `{data["split"]}`, sketches `{data["sketch"]}`). The weights are made from
these photos; what their licences ask goes for the weights too:

{asked}

## Training

{facts["images"]:,} of {facts["of"]:,} images, {facts["step"]} a step, {facts["precision"]}, seed {facts["seed"]}; the
weights are the moving average. Losses and discriminators are those of DeepFaceDrawing's second stage: {weights}.

| on held-out pairs | |
|---|---|
{scores}
"""
