"""Command of the baselines: train the network that another model is compared with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sketchprep.training.commands import trains

__all__ = ["COMMANDS", "EVALUATE", "IMPORT", "TRAIN"]


@click.command("baseline")
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


COMMANDS = ()
TRAIN = (train_baseline,)
EVALUATE = ()
IMPORT = ()
