"""The command that takes networks out of the framework.  Registered by `sketchprep.cli.main`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from sketchprep.core.cli_options import OFFLINE, OUT_NEEDED
from sketchprep.models.deepfacedrawing.drawing import pretrained

__all__ = ["COMMANDS"]


@click.command("export-onnx")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@OUT_NEEDED
@click.option("--only", metavar="A,B,…", help="Some of encoders, face, hed and simplifier; default: all.")
@click.option("--opset", default=18, show_default=True, help="ONNX operator set, 18 to 24.")
@OFFLINE
def export_onnx(run: Path | None, out: Path, only: str | None, opset: int, offline: bool) -> None:
    """Write networks as ONNX files, each checked against torch on real pictures, and a README.txt.

    RUN is a run of `sketchprep train deepfacedrawing` or its model file; default: the bundled model.
    """
    from sketchprep.training.onnx import export_onnx as export

    names = None if only is None else [name.strip() for name in only.split(",")]
    if run is None and {"encoders", "face"} & set(names or ("face",)) and pretrained.bundled() is not None:
        run = pretrained.choose(None, None, say=partial(click.echo, err=True))
    export(run, out, only=names, opset=opset, offline=offline, done=lambda made: click.echo(made.text()))
    click.echo(f"  how to use them: {out / 'README.txt'}")


@click.command("export-model")
@click.argument("run", type=click.Path(path_type=Path))
@OUT_NEEDED
@click.option("--faces", default=4000, show_default=True, help="Most faces in the bank; of more, drawn by lot.")
@click.option("--megabytes", default=36.0, show_default=True, help="What all files may take; codes are cut to fit.")
@click.option("--attributes", default="Male", show_default=True, metavar="A,B,…", help="Of the bank's faces to keep.")
@click.option("--notes", type=click.Path(path_type=Path), help="YAML for the card: licence, budget, faults.")
@click.option("--evaluation", type=click.Path(path_type=Path), help="Report of `sketchprep evaluate`, for the card.")
def export_model(run: Path, out: Path, attributes: str, **options: Any) -> None:
    """Write a trained model small enough to hand on, with bank and card: a folder to use as a run."""
    from sketchprep.models.deepfacedrawing.compress import export_model as export

    names = [name.strip() for name in attributes.split(",") if name.strip()]
    click.echo(export(run, out, attributes=names, **options).text())


COMMANDS = (export_onnx, export_model)
