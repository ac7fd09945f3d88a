"""Export of a run's averaged weights as float16 safetensors with their card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sketchprep.core import cards
from sketchprep.training import checkpoint
from sketchprep.training.export import facts_of, write_with_card

__all__ = ["card", "export_weights"]

WEIGHTS = "simplifier.safetensors"
LICENCE = "Apache-2.0"


def export_weights(run: str | Path, out: str | Path | None = None) -> Path:
    """Write the weights of a run's newest checkpoint as the simplifier reads them, and a card beside them.

    Parameters
    ----------
    run : path
        A run of the simplifier, or one of its checkpoints.
    out : path, optional
        The file; default ``simplifier.safetensors`` in the run.  The card has the same stem and ends in ``.md``.

    Returns
    -------
    Path
        The weights: float16, batch normalisation folded in, the card's facts in the header.

    Raises
    ------
    UserError
        If the run holds no whole checkpoint, belongs to another model, or the file cannot be written.
    """
    from sketchprep.nn.simplifier import Simplifier, save_simplifier

    source = checkpoint.read_run_of("simplifier", Path(run), "train simplifier")
    net = Simplifier(source.settings["task"]["width"], source.settings["task"].get("context", 0))
    checkpoint.fill(net, source.tensors("net.ema"), f"{source.path}/net.ema")
    facts = {"licence": LICENCE, **facts_of(source)}
    return write_with_card(
        Path(out) if out else Path(run) / WEIGHTS,
        lambda path: save_simplifier(net, path, notes=facts),
        lambda _: card(facts),
    )


def card(facts: dict[str, Any]) -> str:
    """Model card in Markdown.

    Parameters
    ----------
    facts : dict
        What the header of the weights holds.
    """
    task = facts["task"]
    mix = ", ".join(f"{share:.0%} {kind.replace('_', ' ')}" for kind, share in task["mix"].items() if share)
    kinds = [
        f"{value['files']} files of {kind.replace('_', ' ')} (`{value['sha256']}`)"
        for kind, value in task["data"].items()
    ]
    made_of = f"Made of {' and '.join(kinds)}." if kinds else ""
    wide = f"{task['context']} residual convolutions of growing dilation in its middle, " if task.get("context") else ""
    return cards.render(
        "simplifier",
        width=task["width"],
        wide=wide,
        licence=facts["licence"],
        mix=mix,
        made_of=made_of,
        images=f"{facts['images']:,}",
        size=task["size"],
        step=facts["step"],
        precision=facts["precision"],
        seed=facts["seed"],
        **{key: f"{task[key]:g}" for key in ("bce", "dice", "l1", "ink_weight")},
        scores=cards.score_rows(facts["scores"]),
    )
