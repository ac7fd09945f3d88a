"""The folder of a dataset while a build holds it: its own, alone, and begun with the same recipe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core import workdir
from sketchprep.core.config import differing_keys
from sketchprep.datasets.build.slurm import refuse_if_active
from sketchprep.datasets.layout import read_recipe
from sketchprep.errors import UserError
from sketchprep.sketching import recipe

if TYPE_CHECKING:
    from sketchprep.sketching.recipe import Recipe

__all__ = ["claim"]


@contextlib.contextmanager
def claim(out: Path, rec: Recipe, depends_on: dict[str, Any]) -> Iterator[None]:
    """Make the folder or resume it, and keep other builds out of it for the block.

    If the block fails before there is a plan, what was made here is taken away again.

    Parameters
    ----------
    out : Path
        The dataset.
    rec : Recipe
        What it is to be built by; written to ``recipe.yaml`` or compared with what is there.
    depends_on : dict
        What its bytes depend on besides, from `fingerprint.resolve`.

    Raises
    ------
    UserError
        If the folder holds something else, was begun with another recipe, is at work already (here or in jobs), cannot
        be written, or if the disk fills up.
    """
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    busy = f"another build is at work in this folder; see `sketchprep status {out}`"
    claimed = workdir.claim(
        out, "recipe.yaml", busy=busy, also_busy=lambda: refuse_if_active(out), lock="log/lock", parts=("shards",)
    )
    with claimed as held, workdir.disk_errors(out):
        (out / "log" / "stop").unlink(missing_ok=True)
        _check_recipe(held, rec, depends_on)
        try:
            yield
        except BaseException:
            if not (out / "plan.parquet").exists():
                _remove(held, new)
            raise


def _remove(held: workdir.Claim, new: list[Path]) -> None:
    """Take away a recipe without a plan, and folders that hold nothing else."""
    held.marker.unlink(missing_ok=True)
    for path in (held.folder / "log").glob("lock*"):
        path.unlink(missing_ok=True)
    for folder in (held.folder / "log", held.folder / "shards", *new):
        with contextlib.suppress(OSError):  # something is in it
            folder.rmdir()


def _check_recipe(held: workdir.Claim, rec: Recipe, depends_on: dict[str, Any]) -> None:
    """Write recipe.yaml, or refuse if another one is there."""
    values = {"recipe": rec.canonical(), "depends_on": depends_on}
    if not held.marker.exists():
        held.write({**values, "hash": recipe.digest(values)})
        return
    stored = read_recipe(held.folder)
    begun = {"recipe": recipe.complete(stored.get("recipe") or {}), "depends_on": stored.get("depends_on")}
    if differing := differing_keys(begun, values):
        raise UserError(
            f"-o {held.folder}: was begun with another recipe ({differing}); use that one again, or a new folder "
            "with -o"
        )
