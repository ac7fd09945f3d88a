"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

DATA = click.argument("data", type=click.Path(path_type=Path))
OUT = click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for the result.")
OUT_NEEDED = click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for the result.")
OFFLINE = click.option("--offline", is_flag=True, help="Never fetch a missing weight.")
DEVICE = click.option("--device", default="auto", show_default=True, help="For networks: auto, cpu or cuda:N.")
