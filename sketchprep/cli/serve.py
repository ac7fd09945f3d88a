"""The command that serves the page on which faces are drawn.  Registered by `sketchprep.cli.main`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from sketchprep.core.cli_options import DEVICE, OFFLINE
from sketchprep.models.deepfacedrawing.commands import FILE
from sketchprep.models.deepfacedrawing.drawing.pretrained import choose

__all__ = ["COMMANDS"]


@click.command()
@click.option("--run", "--checkpoint", type=FILE, help="Run of `sketchprep train`; default: the bundled model.")
@click.option("--model", type=FILE, help="A model's file, instead of a run.")
@click.option("--bank-file", type=FILE, help="Another bank; default: bank.safetensors beside the model.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind; 0.0.0.0 lets others in.")
@click.option("--port", default=7860, show_default=True, help="0 takes a free one.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option("--allow-host", "allow", multiple=True, metavar="NAME", help="A further name the server answers to.")
@click.option("--root-path", default="", metavar="PATH", help="Path under which a proxy shows it, such as /faces.")
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ADDRESS",
    help="Address under which a proxy shows it, such as https://faces.example.org.",
)
@DEVICE
@OFFLINE
def serve(
    run: Path | None,
    model: Path | None,
    bank_file: Path | None,
    host: str,
    port: int,
    open_page: bool,
    allow: tuple[str, ...],
    root_path: str,
    origins: tuple[str, ...],
    device: str,
    offline: bool,
) -> None:
    """Draw a face in the browser, guided by its shadow."""
    from sketchprep.serve.server import serve as start

    path = choose(run, model, say=partial(click.echo, err=True))
    start(
        path, bank_file=bank_file, host=host, port=port, open_page=open_page, allow=allow, origins=origins,
        root_path=root_path, device=device, offline=offline, say=click.echo,
    )  # fmt: skip


COMMANDS = (serve,)
