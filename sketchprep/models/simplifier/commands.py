"""Commands of the simplifier: clean drawings, train the network, evaluate it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sketchprep.core.cli_options import DEVICE, OFFLINE, OUT_NEEDED
from sketchprep.training.commands import trains

__all__ = ["COMMANDS", "EVALUATE", "IMPORT", "TRAIN"]

_PAIRS = ("preset", "photos", "cache", "overrides", "seed", "device")
"""Options that decide the training pairs."""


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUT_NEEDED
@click.option("--tidy", is_flag=True, help="Turn the soft result into decided strokes.")
@click.option("--svg", is_flag=True, help="Trace the outlines of the result too.")
@click.option("--strokes", is_flag=True, help="Write its middle lines as SVG strokes too: NAME.strokes.svg.")
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


@click.command("simplifier")
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


@click.command("simplifier")
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


COMMANDS = (simplify,)
TRAIN = (train_simplifier,)
EVALUATE = (evaluate_simplifier,)
IMPORT = ()
