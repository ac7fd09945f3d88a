"""The card of a model that is handed on: data, licence, budget, figures, faults, from the run where it tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.errors import UserError
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.compress import SmallModel

__all__ = ["NOTES", "read_evaluation", "read_notes", "small_card"]

NOTES = ("licence", "budget", "faults")


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
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
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


def small_card(
    facts: Mapping[str, Any],
    small: SmallModel,
    *,
    run: Path,
    notes: Mapping[str, Any],
    evaluation: Mapping[str, Any],
) -> str:
    """Model card in Markdown.

    Parameters
    ----------
    facts : mapping
        What the whole model's file says of itself.
    small : SmallModel
    run : Path
        Where logs and figures of the training lie, if they do.
    notes, evaluation : mapping
        See `read_notes` and `read_evaluation`.
    """
    task = facts.get("task", {})
    size, data = facts["architecture"]["size"], task.get("data", {})
    preset = f", preset `{facts['preset']}`" if "preset" in facts else ""
    sections = [
        [f"# DeepFaceDrawing, {size} px", "", _purpose(preset)],
        ["## Data and licence", "", *_data(facts, data, notes)],
        ["## Budget", "", *_budget(run, task, notes)],
        ["## Figures", "", *_figures(facts, evaluation)],
        ["## What is in the files", "", *_files(small)],
        ["## Faults seen", "", *[f"- {line}" for line in notes.get("faults", ["none written down yet"])]],
        ["## Not made for", "", _NOT_FOR],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _purpose(preset: str) -> str:
    return (
        "Turns a sketch of a front face, black ink on white in the FFHQ frame, into a photo of as many pixels.\n"
        f"Networks after Chen et al., DeepFaceDrawing (SIGGRAPH 2020){preset}; float16 safetensors."
    )


def _data(facts: Mapping[str, Any], data: Mapping[str, Any], notes: Mapping[str, Any]) -> Iterator[str]:
    if "licence" in notes:
        yield from (f"**{' '.join(notes['licence'].split())}**", "")
    pairs = (
        f"{data['pairs']:,} pairs (split `{data['split']}`, sketches `{data['sketch']}`)" if data else "unknown data"
    )
    yield f"Trained on {pairs}. The weights are made from these photos;"
    yield "what their licences ask goes for the weights too:"
    yield ""
    yield from (f"- {line}" for line in facts.get("licences") or ["unknown: see the dataset's own card"])
    yield ""
    yield "No photo and no sketch of these data is in the files: the bank holds codes, numbers of the corpus and sexes."


def _budget(run: Path, task: Mapping[str, Any], notes: Mapping[str, Any]) -> Iterator[str]:
    rows = [row for folder in sorted(run.glob("*/run.yaml")) if (row := _stage(folder.parent))]
    if rows:
        yield from ("| | images | minutes | a step | precision | seed |", "|---|---|---|---|---|---|", *rows, "")
    losses = [f"{task[key]:g} {key.replace('_', ' ')}" for key in _LOSSES if key in task]
    if losses:
        yield f"Stage 2's losses: {', '.join(losses)}. The weights are moving averages."
    if "budget" in notes:
        yield from ("", " ".join(notes["budget"].split()))


_LOSSES = ("gan", "feature_matching", "l1", "perceptual")


def _stage(folder: Path) -> str | None:
    """Row of the table of budgets for one stage of a run; None if it never trained."""
    try:
        options = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))["settings"]["options"]
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
    return f"| {folder.name} | {images:,} | {minutes:.0f} | {step} | {precision} | {seed} |"


def _figures(facts: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[str]:
    explained = facts.get("explained", {})
    shares = [f"{part.replace('_', ' ')} {max(0.0, explained[part]):.0%}" for part in PARTS if explained.get(part)]
    if shares:
        yield f"Variance of held-out sketches that the codes explain: {', '.join(shares)}."
    scores = ", ".join(f"{name} {value:.4f}" for name, value in facts.get("scores", {}).items())
    if scores:
        yield f"Stage 2 on held-out pairs: {scores}."
    if evaluation:
        where = f"{evaluation['faces']} faces of the split `{evaluation['split']}`"
        yield from ("", f"`sketchprep evaluate` on {where}, model sha256 `{evaluation['model']}`:", "")
        yield from evaluation["table"]


def _files(small: SmallModel) -> Iterator[str]:
    yield "| part | numbers in a code | variance of the bank's codes | of them for shadows |"
    yield "|---|---|---|---|"
    for part in PARTS:
        yield f"| {part} | {small.ranks[part]} | {small.kept[part]:.2%} | {small.image_ranks[part]} |"
    yield ""
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in small.sizes.items() if size >= 50_000)
    lot = "all" if small.faces == small.of else f"{small.faces:,} drawn by lot of the"
    yield f"{sizes}. The bank has {lot} {small.of:,} faces."
    mean, largest = small.difference
    yield (
        "Codes were cut to their principal directions and stored in half precision: faces differ from those of the "
        f"whole model by {mean:.2f} grey levels on average, {largest:.2f} at most."
    )


_NOT_FOR = """\
Faces from the side, with glasses or hats where the data had none; other frames; telling who somebody is. The faces
are inventions in the manner of the data, and share its biases."""
