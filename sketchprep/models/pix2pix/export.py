"""Export a baseline's checkpoint as one model file with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sketchprep.core import cards
from sketchprep.models.pix2pix.model import FILE, NETWORKS, Shape, save_baseline
from sketchprep.models.pix2pix.settings import SHAPE
from sketchprep.models.pix2pix.task import BaselineTask
from sketchprep.training import checkpoint
from sketchprep.training.export import facts_of, write_with_card

__all__ = ["card", "export_baseline"]


def export_baseline(run: str | Path, out: str | Path | None = None, *, about: dict[str, Any] | None = None) -> Path:
    """Write the network of a run's newest checkpoint for `sketchprep.models.pix2pix.model.load_baseline`.

    Parameters
    ----------
    run : path
        A run of `train_baseline` that has a checkpoint, finished or not.
    out : path, optional
        The file; default ``baseline.safetensors`` in the run.  The card has the same stem and ends in ``.md``.
    about : dict, optional
        Further facts: ``preset``, ``licences``.

    Raises
    ------
    UserError
        If there is no such run, or the file cannot be written.
    """
    source = checkpoint.read_run_of(BaselineTask.name, Path(run), "train baseline")
    task, facts = source.settings["task"], {**facts_of(source), **(about or {})}
    shape = Shape(task["network"], **{key: task[key] for key in SHAPE if key in task})
    return write_with_card(
        Path(out) if out else Path(run) / FILE,
        lambda path: save_baseline(source.tensors("generator.ema"), shape, path, facts=facts),
        lambda size: card(facts, size),
    )


def card(facts: dict[str, Any], size: int) -> str:
    """Model card in Markdown of what a header of `size` bytes of model says."""
    task, data = facts["task"], facts["task"]["data"]
    return cards.render(
        "baseline",
        title=NETWORKS[task["network"]],
        size=task["size"],
        preset=f", preset `{facts['preset']}`" if "preset" in facts else "",
        megabytes=f"{size / 1e6:.1f}",
        pairs=f"{data['pairs']:,}",
        split=data["split"],
        sketch=data["sketch"],
        licences=cards.bullets(facts.get("licences", []), "unknown: see the dataset's own card"),
        images=f"{facts['images']:,}",
        budget=f"{facts['of']:,}",
        step=facts["step"],
        precision=facts["precision"],
        seed=facts["seed"],
        losses=cards.losses(task, ("gan", "feature_matching", "l1", "perceptual")),
        scores=cards.score_rows(facts["scores"]),
    )
