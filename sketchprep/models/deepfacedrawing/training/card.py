"""Model card of a run or a compressed model: data, licence, training, figures, known faults."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sketchprep.core import cards
from sketchprep.core.yaml_values import read_values
from sketchprep.errors import UserError
from sketchprep.evaluation.report import table
from sketchprep.models.deepfacedrawing.training.stage1_weights import WEAK
from sketchprep.ops.face_parts import PARTS

__all__ = ["NOTES", "card", "read_evaluation", "read_notes"]

NOTES = ("licence", "budget", "faults")
LOSSES = ("gan", "feature_matching", "l1", "perceptual")


def read_notes(path: str | Path | None) -> dict[str, Any]:
    """Text for the card: ``licence`` and ``budget``, and ``faults``, a list; all of them may be missing.

    Raises
    ------
    UserError
        If the file cannot be read or has other keys or values.
    """
    if path is None:
        return {}
    try:
        found = read_values(Path(path))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"--notes {path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(found, dict):
        raise UserError(f"--notes {path}: must have keys of {', '.join(NOTES)}")
    for key, value in found.items():
        lines = value if key == "faults" and isinstance(value, list) else [value]
        if key not in NOTES or not all(isinstance(line, str) for line in lines):
            raise UserError(f"--notes {path}: {key}: must be text under {', '.join(NOTES)}, faults a list of it")
    return found


def read_evaluation(folder: str | Path | None) -> dict[str, Any]:
    """Table and figures of a report of `sketchprep evaluate`.

    Raises
    ------
    UserError
        If the folder holds no report.
    """
    if folder is None:
        return {}
    try:
        text = (Path(folder) / "table.md").read_text(encoding="utf-8")
        figures = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))
        about = {"model": figures["model"], "split": figures["data"]["split"], "faces": len(figures["faces"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--evaluation {folder}: holds no report of `sketchprep evaluate` ({error})") from None
    return {**about, "table": [line for line in text.splitlines() if line.startswith("|")]}


def card(
    facts: Mapping[str, Any],
    run: Path,
    *,
    size: int | None = None,
    small: Mapping[str, Any] | None = None,
    notes: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> str:
    """Model card in Markdown.

    Parameters
    ----------
    facts : mapping
        Header of the model's file, or of the one that a smaller model was made from.
    run : Path
        Where logs and figures of the training lie, if they do.
    size : int, optional
        Bytes of the model's file.
    small : mapping, optional
        What became of a smaller model: fields of `sketchprep.models.deepfacedrawing.compress.SmallModel`.
    notes, evaluation : mapping, optional
        See `read_notes` and `read_evaluation`.
    """
    notes, task = notes or {}, facts.get("task", {})
    data = task.get("data")
    more = ["", "## What is in the files", "", *_files(small)] if small else []
    if small or "faults" in notes:
        more += ["", "## Faults seen", "", cards.bullets(notes.get("faults", []), "none written down yet")]
    return cards.render(
        "deepfacedrawing",
        size=facts["architecture"]["size"] if "architecture" in facts else task["size"],
        preset=f", preset `{facts['preset']}`" if "preset" in facts else "",
        file="" if size is None else f"{size / 1e6:.1f} MB of ",
        terms=f"**{' '.join(notes['licence'].split())}**\n\n" if "licence" in notes else "",
        pairs=f"{data['pairs']:,} pairs (split `{data['split']}`, sketches `{data['sketch']}`)"
        if data
        else "unknown data",
        licences=cards.bullets(facts.get("licences", []), "unknown: see the dataset's own card"),
        training="\n".join(_training(run, task, notes)),
        figures="\n".join(_figures(facts, evaluation or {})),
        more="\n".join([*more, ""]),
    )


def _training(run: Path, task: Mapping[str, Any], notes: Mapping[str, Any]) -> Iterator[str]:
    rows = [row for folder in sorted(run.glob("*/run.yaml")) if (row := _stage(folder.parent))]
    if rows:
        yield from (*table(["", "images", "minutes", "a step", "precision", "seed"], rows), "")
    if losses := cards.losses(task, (name for name in LOSSES if name in task)):
        yield f"Stage 2's losses: {losses}. The weights are moving averages."
    if "budget" in notes:
        yield from ("", " ".join(notes["budget"].split()))


def _stage(folder: Path) -> list[str] | None:
    """Row of the table of budgets for one stage of a run; None if it never trained."""
    try:
        options = read_values(folder / "run.yaml")["settings"]["options"]
        lines = (folder / "stats.jsonl").read_text(encoding="utf-8").splitlines()
        entries = [(entry["images"], entry.get("images_per_second")) for entry in map(json.loads, lines)]
        step, precision, seed = options["batch × accumulate × processes"], options["precision"], options["seed"]
        images = entries[-1][0]
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return None
    minutes, before = 0.0, 0
    for count, rate in entries:
        minutes += max(0, count - before) / rate / 60 if rate else 0.0
        before = count
    return [folder.name, f"{images:,}", f"{minutes:.0f}", str(step), str(precision), str(seed)]


def _figures(facts: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[str]:
    explained = facts.get("explained", {})
    shares = [f"{part.replace('_', ' ')} {max(0.0, explained[part]):.0%}" for part in PARTS if explained.get(part)]
    if shares:
        yield f"Variance of held-out sketches that the codes explain: {', '.join(shares)}."
        yield f"Under {WEAK:.0%}, what is in that part of a sketch hardly reaches the face."
    scores = ", ".join(f"{name} {value:.4f}" for name, value in facts.get("scores", {}).items())
    if scores:
        yield f"Stage 2 on held-out pairs: {scores}."
    if evaluation:
        where = f"{evaluation['faces']} faces of the split `{evaluation['split']}`"
        yield from ("", f"`sketchprep evaluate` on {where}, model sha256 `{evaluation['model']}`:", "")
        yield from evaluation["table"]


def _files(small: Mapping[str, Any]) -> Iterator[str]:
    heads = ["part", "numbers in a code", "variance of the bank's codes", "of them for shadows"]
    ranks, kept, shadows = small["ranks"], small["kept"], small["image_ranks"]
    yield from table(heads, ([part, str(ranks[part]), f"{kept[part]:.2%}", str(shadows[part])] for part in PARTS))
    yield ""
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in small["sizes"].items() if size >= 50_000)
    share = "all" if small["faces"] == small["of"] else f"{small['faces']:,} sampled at random from the"
    yield f"{sizes}. The bank has {share} {small['of']:,} faces."
    mean, largest = small["difference"]
    yield (
        "Codes were cut to their principal directions and stored in half precision: faces differ from those of the "
        f"whole model by {mean:.2f} grey levels on average, {largest:.2f} at most."
    )
