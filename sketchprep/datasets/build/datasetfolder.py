"""The folder of a dataset while a build holds it: its own, alone, and begun with the same recipe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.core.config import differences
from sketchprep.core.workdir import hold_alone
from sketchprep.datasets.build import passes
from sketchprep.datasets.build.slurm import refuse_if_active
from sketchprep.datasets.reader import read_recipe
from sketchprep.errors import UserError
from sketchprep.io.files import atomic, disk_sentence
from sketchprep.sketching import recipe

if TYPE_CHECKING:
    from sketchprep.sketching.recipe import Recipe

__all__ = ["hold"]

DIFFERENCES_SHOWN = 8


@contextlib.contextmanager
def hold(out: Path, rec: Recipe, depends_on: dict[str, Any]) -> Iterator[None]:
    """Make the folder or take it up again, and keep other builds out of it.

    Parameters
    ----------
    out : Path
        The dataset.
    rec : Recipe
        What it is to be built by; written to ``recipe.yaml`` or compared with what is there.
    depends_on : dict
        What its bytes depend on besides, from `environment.resolve`.

    Raises
    ------
    UserError
        If the folder holds something else, was begun with another recipe, is at work already (here or in jobs), cannot
        be written, or if the disk fills up.
    """
    busy = f"another build is at work in this folder; see `sketchprep status {out}`"
    with hold_alone(out, "recipe.yaml", option="-o", busy=busy, lock="log/lock", parts=("shards",)):
        try:
            refuse_if_active(out)
            (out / "log" / "stop").unlink(missing_ok=True)
            _check_recipe(out, rec, depends_on)
            yield
        except OSError as error:
            raise UserError(disk_sentence(out, error)) from error


def _check_recipe(out: Path, rec: Recipe, depends_on: dict[str, Any]) -> None:
    """Write recipe.yaml, or refuse if another one is there."""
    values = {"recipe": rec.canonical(), "depends_on": depends_on}
    path = out / "recipe.yaml"
    if not path.exists():
        _write(path, values)
        return
    stored = read_recipe(out)
    half = passes.completes(stored.get("depends_on"), depends_on)
    before = {"recipe": stored.get("recipe"), "depends_on": depends_on if half else stored.get("depends_on")}
    differing = differences(before, values)
    if differing:
        more = len(differing) - DIFFERENCES_SHOWN
        shown = "; ".join(differing[:DIFFERENCES_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise UserError(
            f"-o {out}: was begun with another recipe ({shown}); use that one again, or a new folder with -o"
        )
    if half:  # nothing was finished yet, so nothing depends on what is added
        _write(path, {**values, "recipe": stored["recipe"]})


def _write(path: Path, values: dict[str, Any]) -> None:
    text = yaml.safe_dump({**values, "hash": recipe.digest(values)}, sort_keys=False, allow_unicode=True)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
