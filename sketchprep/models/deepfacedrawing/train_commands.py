"""Commands around networks: simplify drawings, train, evaluate.  Registered by `sketchprep.cli.main`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sketchprep.core.cli_options import DEVICE, OFFLINE, OUT_NEEDED
from sketchprep.models.deepfacedrawing.commands import write_bank
from sketchprep.training.commands import trains

if TYPE_CHECKING:
    from sketchprep.evaluation.subject import EvaluationConfig

__all__ = ["COMMANDS"]

_PAIRS = ("preset", "photos", "cache", "overrides", "seed", "device")
"""Options that decide the simplifier's pairs."""


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUT_NEEDED
@click.option("--tidy", is_flag=True, help="Turn the soft result into decided strokes.")
@click.option("--svg", is_flag=True, help="Trace the result too.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Other weights, ours or converted ones of Simo-Serra's."
)
@click.option("--batch", type=int, default=1, show_default=True, help="Pictures of one size at once, for a GPU.")
@DEVICE
@OFFLINE
def simplify(images: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Clean rough drawings or photocopies: same height and width, a PNG named after each."""
    from sketchprep.models.simplifier.clean_files import simplify_files

    failures = simplify_files(images, out, **options)
    for failure in failures:
        click.echo(f"failed  {failure.id!r}: {failure.message}", err=True)
    click.echo(f"{len(images) - len(failures)} of {len(images)} drawings in {out}")
    sys.exit(1 if failures else 0)


class WithDefault(click.Group):
    """A group whose first command may be left out when options follow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=WithDefault)
def train() -> None:
    """Train a network; the same command again goes on where it stopped.

    Without a command's name, options go to `deepfacedrawing`.
    """


@train.command("deepfacedrawing")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A built dataset.")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
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
@click.option("--encoders", type=click.Path(path_type=Path), help="With --stage fm-is: take stage 1 from this run.")
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


@train.command("baseline")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The built dataset of the other model.")
@click.option(
    "--run", type=click.Path(path_type=Path), default="runs/baseline", show_default=True, help="Folder of the run."
)
@click.option(
    "--network",
    type=click.Choice(["unet", "global"]),
    default="unet",
    show_default=True,
    help="pix2pix's U-Net or pix2pixHD's global generator.",
)
@click.option("--preset", default="small", show_default=True, help="paper (512 px), small (256 px) or tiny (128 px).")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of stage 2's preset or the shape."
)
@click.option("--max-minutes", type=float, help="Fit the number of images to this time.")
@trains
def train_baseline(data: Path, run: Path, **options: Any) -> None:
    """Train what DeepFaceDrawing is compared with: straight from sketch to photo, with stage 2's losses and budget."""
    from sketchprep.models.pix2pix.train import train_baseline as fit

    result = fit(data, run, **options)
    click.echo(result.text)
    sys.exit(getattr(result, "exit_code", 0))


@train.command("simplifier")
@click.option(
    "--run", type=click.Path(path_type=Path), default="runs/simplifier", show_default=True, help="Folder of the run."
)
@click.option("--preset", default="cpu", show_default=True, help="Of pipelines/simplifier.yaml.")
@click.option("--photos", type=click.Path(path_type=Path), help="Portraits for real pairs; default: the bundled ones.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where their teacher lines are kept.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the preset.")
@click.option("--max-minutes", type=float, help="Fit the number of images to this time.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Only draw the first pairs into this picture.")
@trains
def train_simplifier(run: Path, sheet: Path | None, **options: Any) -> None:
    """Train the sketch simplifier on pairs that it makes itself."""
    from sketchprep.models.simplifier.train import draw_pairs
    from sketchprep.models.simplifier.train import train_simplifier as fit

    if sheet is not None:
        draw_pairs(sheet, **{name: options[name] for name in _PAIRS})
        click.echo(f"pairs drawn in {sheet}")
        return
    result = fit(run, **options)
    click.echo(result.text)
    sys.exit(getattr(result, "exit_code", 0))


@click.group(cls=WithDefault)
def evaluate() -> None:
    """Measure a network on held-out data: table, JSON and contact sheet.

    Without a command's name, options go to `faces`.
    """


def _face_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which model of faces to measure on what, handed over as one `choice`."""

    @functools.wraps(command)
    def chosen(**options: Any) -> None:
        from sketchprep.evaluation.subject import EvaluationConfig

        own = {name: options.pop(name) for name in [field.name for field in fields(EvaluationConfig)]}
        command(EvaluationConfig(**own), **options)

    chosen_options = (
        click.option("--run", type=click.Path(path_type=Path), help="Run of `sketchprep train deepfacedrawing`."),
        click.option("--model", type=click.Path(path_type=Path), help="A model's file, instead of a run."),
        click.option("--bank", type=click.Path(path_type=Path), help="Default: bank.safetensors beside the model."),
        click.option(
            "--baseline",
            "baselines",
            multiple=True,
            type=click.Path(path_type=Path),
            help="Run of `sketchprep train baseline` to compare with; may be repeated.",
        ),
        click.option("--data", required=True, type=click.Path(path_type=Path), help="A built dataset."),
        click.option("--split", default="test", show_default=True, help="Whose pairs are drawn."),
        click.option("--limit", type=click.IntRange(min=2), help="At most N faces."),
        DEVICE,
        OFFLINE,
    )
    for option in reversed(chosen_options):
        chosen = option(chosen)
    return chosen


@evaluate.command("faces")
@_face_options
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder for the report; default: evaluation-SPLIT in the run."
)
@click.option("--wb", default="0,0.5,1", show_default=True, help="From the bank (0) to the drawing (1), with commas.")
@click.option("--k", default=10, show_default=True, help="Neighbours in the bank.")
@click.option(
    "--inception",
    metavar="auto|FILE",
    help="Also measure on Inception's features: its weights, or auto for where torch-fidelity keeps them.",
)
def evaluate_faces(choice: EvaluationConfig, wb: str, **options: Any) -> None:
    """Compare the faces that a model draws from a split's sketches with the photos."""
    from sketchprep.core import progress
    from sketchprep.evaluation.faces import evaluate_faces as measure
    from sketchprep.evaluation.subject import parse_wbs

    report = measure(choice, wbs=parse_wbs(wb), progress=progress.bar, **options)
    click.echo(report.text())
    click.echo(f"report: {report.out}")


@evaluate.command("robustness")
@_face_options
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder for the report; default: robustness-SPLIT in the run."
)
@click.option(
    "--preset", default="robustness", show_default=True, metavar="NAME|FILE", help="Kinds of damage, amounts and wb."
)
def evaluate_robustness(choice: EvaluationConfig, **options: Any) -> None:
    """Spoil a split's sketches by degrees in four ways and see what becomes of the faces."""
    from sketchprep.core import progress
    from sketchprep.evaluation.robustness import evaluate_robustness as measure

    report = measure(choice, progress=progress.bar, **options)
    click.echo(report.text())
    click.echo(f"report: {report.out}")


@evaluate.command("simplifier")
@OUT_NEEDED
@click.option(
    "--preset", default="simplify-eval", show_default=True, metavar="NAME|FILE", help="Sets, methods and limits."
)
@click.option("--photos", type=click.Path(path_type=Path), help="Portraits; only those never trained on are used.")
@click.option(
    "--celebamask",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Aligned faces: folder or zip; may be repeated.",
)
@click.option("--weights", type=click.Path(path_type=Path), help="Network to measure; default: the bundled one.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where teacher lines are kept; default: OUT/teacher.")
@click.option("--limit", type=int, help="At most N pictures of each set.")
@DEVICE
@OFFLINE
def evaluate_simplifier(out: Path, celebamask: tuple[Path, ...], **options: Any) -> None:
    """Measure the simplifier against Otsu, FDoG, the classical clean-up and the raw photocopy."""
    from sketchprep.core import progress
    from sketchprep.models.simplifier.evaluation.evaluate import evaluate_simplifier as measure

    report = measure(out, celebamask=list(celebamask) or None, progress=progress.bar, **options)
    click.echo(report.text())


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A built dataset.")
@click.option(
    "--run", type=click.Path(path_type=Path), default="runs/ablation", show_default=True, help="Folder of the runs."
)
@click.option(
    "--preset", default="ablation", show_default=True, metavar="NAME|FILE", help="What is changed, and the budget."
)
@click.option("--split", default="test", show_default=True, help="Whose pairs are drawn.")
@click.option("--limit", type=click.IntRange(min=2), help="At most N faces.")
@DEVICE
@OFFLINE
def ablate(data: Path, run: Path, **options: Any) -> None:
    """Train and measure what the paper asks of itself: code size, feature maps, neighbours, projection.

    The same command goes on where it stopped, and keeps what is done.
    """
    from sketchprep.core import progress
    from sketchprep.models.deepfacedrawing.ablation import ablate as measure

    report = measure(data, run, say=functools.partial(click.echo, err=True), progress=progress.bar, **options)
    if isinstance(report, int):
        sys.exit(report)
    click.echo(report.text())
    click.echo(f"report: {report.out}")


COMMANDS = (simplify, train, evaluate, ablate)
