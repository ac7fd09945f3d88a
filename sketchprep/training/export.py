"""What the files of finished models have in common: the facts of their run, and a card beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sketchprep.io.files import atomic
from sketchprep.training import run_dir
from sketchprep.training.checkpoint import Checkpoint

__all__ = ["facts_of", "write_with_card"]


def facts_of(found: Checkpoint) -> dict[str, Any]:
    """What a model's header tells of the run that it is taken from, as plain JSON values."""
    options = found.settings["options"]
    return {
        "images": found.images,
        "of": options["images"],
        "scores": found.scores,
        "task": found.settings["task"],
        "seed": options["seed"],
        "precision": options["precision"],
        "step": options["batch × accumulate × processes"],
    }


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
