"""The command that takes networks out of the framework.  Registered by `sketchprep.cli`."""

from __future__ import annotations

from pathlib import Path

import click

from sketchprep.cli_options import OFFLINE, OUT_NEEDED

__all__ = ["COMMANDS"]


@click.command("export-onnx")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@OUT_NEEDED
@click.option("--only", metavar="A,B,…", help="Some of encoders, face, hed and simplifier; default: all.")
@click.option("--opset", default=18, show_default=True, help="ONNX operator set, 18 to 24.")
@OFFLINE
def export_onnx(run: Path | None, out: Path, only: str | None, opset: int, offline: bool) -> None:
    """Write networks as ONNX files, each checked against torch on real pictures, and a README.txt.

    RUN is a run of `sketchprep train deepfacedrawing` or its model file; hed and simplifier do not need it.
    """
    from sketchprep.onnx_export import export_onnx as export

    names = None if only is None else [name.strip() for name in only.split(",")]
    export(run, out, only=names, opset=opset, offline=offline, done=lambda made: click.echo(made.text()))
    click.echo(f"  how to use them: {out / 'README.txt'}")


COMMANDS = (export_onnx,)
