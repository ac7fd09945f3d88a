"""What exported models have in common: facts of their run, licences of their data, and a card beside the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sketchprep.io.files import atomic
from sketchprep.training import run_dir
from sketchprep.training.checkpoint import Checkpoint

__all__ = ["facts_of", "licences", "write_with_card"]


def facts_of(source: Checkpoint) -> dict[str, Any]:
    """Facts of the run for a model's header, as plain JSON values."""
    options = source.settings["options"]
    return {
        "images": source.images,
        "of": options["images"],
        "scores": source.scores,
        "task": source.settings["task"],
        "seed": options["seed"],
        "precision": options["precision"],
        "step": options["batch × accumulate × processes"],
    }


def licences(data: str | Path) -> list[str]:
    """What the licences of a dataset's photos ask, a line for each source."""
    from sketchprep.datasets import sources
    from sketchprep.datasets.layout import read_recipe

    kinds = {spec["name"]: sources.source_class(spec["name"]) for spec in read_recipe(Path(data))["recipe"]["sources"]}
    return [f"photos `{name}`: {kind.licence}" for name, kind in kinds.items()]


def write_with_card(path: Path, save: Callable[[Path], None], card: Callable[[int], str]) -> Path:
    """Write a model and its card, each whole or not at all.

    Parameters
    ----------
    path : Path
        Of the model; the card has the same stem and ends in ``.md``.
    save : callable
        Writes the model to the path it is given.
    card : callable
        From the model's size in bytes to Markdown.

    Raises
    ------
    UserError
        If they cannot be written.
    """
    with run_dir.disk_errors(path):
        with atomic(path) as temporary:
            save(temporary)
        with atomic(path.with_suffix(".md")) as temporary:
            temporary.write_text(card(path.stat().st_size), encoding="utf-8")
    return path
