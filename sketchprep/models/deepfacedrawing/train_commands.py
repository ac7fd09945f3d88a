"""Commands that make a DeepFaceDrawing model and measure it: train, bank, evaluate, ablate, export-model."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sketchprep.core.cli_options import DEVICE, OFFLINE, OUT_NEEDED
from sketchprep.models.deepfacedrawing.drawing.pretrained import RUN
from sketchprep.training.commands import trains

if TYPE_CHECKING:
    from sketchprep.evaluation.subject import EvaluationConfig
    from sketchprep.models.deepfacedrawing.evaluate import ModelFiles

__all__ = ["COMMANDS", "EVALUATE", "TRAIN"]

FILE = click.Path(path_type=Path)


@click.command("deepfacedrawing")
@click.option("--data", required=True, type=FILE, help="A built dataset.")
@click.option(
    "--run",
    type=FILE,
    default="runs/deepfacedrawing",
    show_default=True,
    help="Folder of the run.",
)
@click.option(
    "--stage",
    type=click.Choice(["all", "ce", "fm-is"]),
    default="all",
    show_default=True,
    help="ce: an autoencoder for each part of the sketch; fm-is: from their codes to faces.",
)
@click.option("--preset", default="small", show_default=True, help="paper (512 px), small (256 px) or tiny (128 px).")
@click.option("--part", metavar="PART", help="With --stage ce: this part's autoencoder alone, for instance remainder.")
@click.option("--encoders", type=FILE, help="With --stage fm-is: take stage 1 from this run.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the preset; ce.KEY or fm-is.KEY in one stage only.",
)
@click.option("--max-minutes", type=float, help="Fit the number of images to this time, half of it for each stage.")
@trains
def train_deepfacedrawing(data: Path, run: Path, **options: Any) -> None:
    """Train DeepFaceDrawing on a dataset: sketch to face, in two stages."""
    from sketchprep.models.deepfacedrawing.training.train import train_deepfacedrawing as fit

    outcome = fit(data, run, **options)
    click.echo(outcome.text)
    if outcome.model is not None:
        write_bank(outcome.model, data, device=options["device"] or "auto")
    sys.exit(outcome.exit_code)


@click.command()
@click.option("--run", type=FILE, help=f"Run of `sketchprep train`; default: {RUN}.")
@click.option("--model", type=FILE, help="A model's file, instead of a run.")
@click.option("--data", required=True, type=FILE, help="The built dataset it was trained on.")
@click.option("--split", help="Default: the one it was trained on; all for the whole dataset.")
@click.option("--limit", type=int, help="Only the first N faces.")
@click.option("-o", "--out", type=FILE, help="Default: bank.safetensors beside the model.")
@DEVICE
def bank(run: Path | None, model: Path | None, data: Path, out: Path | None, **options: Any) -> None:
    """Encode a dataset's sketches: the bank that drawings are drawn towards."""
    from sketchprep.errors import UserError

    if run is not None and model is not None:
        raise UserError("--run and --model: name only one of them")
    write_bank(model or run or Path(RUN), data, out, **options)


def write_bank(model: Path, data: Path, out: Path | None = None, **options: Any) -> None:
    """Make a model's bank with a bar, and say where it is."""
    from sketchprep.core import progress
    from sketchprep.models.deepfacedrawing.drawing.build_bank import make_model_bank

    display: list[Any] = []

    def show(done: int, total: int) -> None:
        display[:] = display or [progress.bar(total, "encoding")]
        display[0].update(done - display[0].n)

    made, path = make_model_bank(model, data, out, progress=show, **options)
    display[0].close()
    known = f", attributes {', '.join(sorted(made.attributes))}" if made.attributes else ""
    click.echo(f"bank: {path}: {len(made):,} faces, {made.latent} numbers a part{known}")


def _subject_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which model is measured on which pairs, passed on as a `ModelFiles` and an `EvaluationConfig`."""

    @functools.wraps(command)
    def chosen(**options: Any) -> None:
        from sketchprep.evaluation.subject import EvaluationConfig
        from sketchprep.models.deepfacedrawing.evaluate import ModelFiles

        config, model = (
            kind(**{field.name: options.pop(field.name) for field in fields(kind)})
            for kind in (EvaluationConfig, ModelFiles)
        )
        command(config, model, **options)

    chosen_options = (
        click.option("--run", type=FILE, help="Run of `sketchprep train deepfacedrawing`."),
        click.option("--model", type=FILE, help="A model's file, instead of a run."),
        click.option("--bank", type=FILE, help="Default: bank.safetensors beside the model."),
        click.option(
            "--baseline",
            "baselines",
            multiple=True,
            type=FILE,
            help="Run of `sketchprep train baseline` to compare with; may be repeated.",
        ),
        click.option("--data", required=True, type=FILE, help="A built dataset."),
        click.option("--split", default="test", show_default=True, help="Whose pairs are drawn."),
        click.option("--limit", type=click.IntRange(min=2), help="At most N faces."),
        DEVICE,
        OFFLINE,
    )
    for option in reversed(chosen_options):
        chosen = option(chosen)
    return chosen


@click.command("faces")
@_subject_options
@click.option("-o", "--out", type=FILE, help="Folder for the report; default: evaluation-SPLIT in the run.")
@click.option("--wb", default="0,0.5,1", show_default=True, help="From the bank (0) to the drawing (1), with commas.")
@click.option("--k", default=10, show_default=True, help="Neighbours in the bank.")
@click.option(
    "--inception",
    metavar="auto|FILE",
    help="Also measure on Inception's features: its weights, or auto for where torch-fidelity keeps them.",
)
def evaluate_faces(config: EvaluationConfig, model: ModelFiles, wb: str, **options: Any) -> None:
    """Compare the faces that a model draws from a split's sketches with the photos."""
    from sketchprep.core import progress
    from sketchprep.models.deepfacedrawing.evaluate import evaluate_faces as measure
    from sketchprep.models.deepfacedrawing.evaluate import parse_wbs

    report = measure(config, model, wbs=parse_wbs(wb), progress=progress.bar, **options)
    click.echo(report.text())
    click.echo(f"report: {report.out}")


@click.command("robustness")
@_subject_options
@click.option("-o", "--out", type=FILE, help="Folder for the report; default: robustness-SPLIT in the run.")
@click.option(
    "--preset", default="robustness", show_default=True, metavar="NAME|FILE", help="Kinds of damage, amounts and wb."
)
def evaluate_robustness(config: EvaluationConfig, model: ModelFiles, **options: Any) -> None:
    """Degrade a split's sketches in four ways, step by step, and measure the faces."""
    from sketchprep.core import progress
    from sketchprep.models.deepfacedrawing.evaluate import evaluate_robustness as measure

    report = measure(config, model, progress=progress.bar, **options)
    click.echo(report.text())
    click.echo(f"report: {report.out}")


@click.command()
@click.option("--data", required=True, type=FILE, help="A built dataset.")
@click.option("--run", type=FILE, default="runs/ablation", show_default=True, help="Folder of the runs.")
@click.option(
    "--preset", default="ablation", show_default=True, metavar="NAME|FILE", help="What is changed, and the budget."
)
@click.option("--split", default="test", show_default=True, help="Whose pairs are drawn.")
@click.option("--limit", type=click.IntRange(min=2), help="At most N faces.")
@DEVICE
@OFFLINE
def ablate(data: Path, run: Path, **options: Any) -> None:
    """Train and measure what the paper asks of itself: code size, feature maps, neighbours, projection.

    The same command resumes where it stopped, and keeps what is done.
    """
    from sketchprep.core import progress
    from sketchprep.models.deepfacedrawing.ablation import ablate as measure

    report = measure(data, run, say=functools.partial(click.echo, err=True), progress=progress.bar, **options)
    if isinstance(report, int):
        sys.exit(report)
    click.echo(report.text())
    click.echo(f"report: {report.out}")


@click.command("export-model")
@click.argument("run", type=FILE)
@OUT_NEEDED
@click.option("--faces", default=4000, show_default=True, help="Most faces in the bank; of more, a random sample.")
@click.option("--megabytes", default=36.0, show_default=True, help="What all files may take; codes are cut to fit.")
@click.option("--attributes", default="Male", show_default=True, metavar="A,B,…", help="Of the bank's faces to keep.")
@click.option("--notes", type=FILE, help="YAML for the card: licence, budget, faults.")
@click.option("--evaluation", type=FILE, help="Report of `sketchprep evaluate`, for the card.")
def export_model(run: Path, out: Path, attributes: str, **options: Any) -> None:
    """Write a trained model small enough to hand on, with bank and card: a folder to use as a run."""
    from sketchprep.models.deepfacedrawing.compress import export_model as export

    names = [name.strip() for name in attributes.split(",") if name.strip()]
    click.echo(export(run, out, attributes=names, **options).text())


COMMANDS = (bank, ablate, export_model)
TRAIN = (train_deepfacedrawing,)
EVALUATE = (evaluate_faces, evaluate_robustness)
