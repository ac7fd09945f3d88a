"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sketchprep.errors import UserError
from sketchprep.io.object_store import Url, is_url


class Place(click.Path):
    """A folder; where `urls` are taken, also a dataset in an object store."""

    def __init__(self, urls: bool = False) -> None:
        super().__init__(path_type=Path)
        self.urls = urls

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not is_url(value):
            return super().convert(value, param, ctx)
        if not self.urls:
            raise UserError(f"{value}: this command needs a local copy; make one with `sketchprep pull {value} DIR`")
        return Url(value)


DATA = click.argument("data", type=Place())
DATA_OR_URL = click.argument("data", type=Place(urls=True))
OUT_OR_URL = click.option(
    "-o", "--out", type=Place(urls=True), help="Folder for the result, or a URL such as s3://bucket/prefix."
)
OUT = click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for the result.")
OUT_NEEDED = click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for the result.")
OFFLINE = click.option("--offline", is_flag=True, help="Never fetch a missing weight.")
DEVICE = click.option("--device", default="auto", show_default=True, help="For networks: auto, cpu or cuda:N.")
FOLLOW_LINKS = click.option(
    "--follow-links", is_flag=True, help="Follow links that leave --root, wherever they lead; kept in the recipe."
)
LIST = click.option(
    "--list",
    "photo_list",
    metavar="FILE",
    help="Photos to take instead of all under --root: text, a path a line, or Parquet with a column 'path'.",
)
