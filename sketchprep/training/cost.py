"""What the ways from sketch to face under comparison were trained with: pictures, hours, batch, preset, seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from sketchprep.errors import UserError
from sketchprep.ops.face_parts import PARTS
from sketchprep.training import checkpoint
from sketchprep.training.logs import STATS
from sketchprep.training.run_dir import MARKER

__all__ = ["Trained", "earlier", "hours", "of_baseline", "of_model", "table"]


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes
    ----------
    images : int or None
        Pictures that the generator saw, each time anew, those of the runs it began from included; None where a model
        does not tell.
    first_images, first_hours : int, float or None
        Of stage 1, which a baseline does not have: 0 there.  None where the run's statistics are not beside the model.
    second_hours : float or None
        Of the generator's training.
    parameters : int
        Of the trained generator; encoders of stage 1 come on top.
    batch, preset, seed, precision
        None where a model does not tell.
    machine : str or None
        On which its last run was done, ``"cpu, 2 threads"``, without which hours say little.
    """

    images: int | None
    first_images: int | None
    first_hours: float | None
    second_hours: float | None
    parameters: int
    batch: int | None
    preset: str | None
    seed: int | None
    precision: str | None
    machine: str | None = None

    @property
    def hours(self) -> float | None:
        """Of all stages."""
        return _sum(self.first_hours, self.second_hours)

    def values(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {**asdict(self), "hours": self.hours}


def hours(stats: Path, *, images: int | None = None) -> float | None:
    """Hours that a run took for its weights, from ``stats.jsonl``; None if that tells nothing.

    Parameters
    ----------
    stats : Path
    images : int, optional
        Only up to so many images.

    Notes
    -----
    Each line holds the speed since the line before, with grids, scores and checkpoints.  What a killed run did after
    its last checkpoint is not in there, nor are the moments that a program takes to start.
    """
    seconds, before = 0.0, 0
    try:
        lines = stats.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        try:
            values = json.loads(line)
            seen, speed = int(values["images"]), float(values["images_per_second"])
        except (ValueError, KeyError, TypeError):
            continue
        if speed <= 0 or seen <= before or (images is not None and seen > images):
            continue
        seconds += (seen - before) / speed
        before = seen
    return seconds / 3600 if before else None


def earlier(run: Path) -> tuple[int | None, float | None]:
    """Images and hours of the runs from whose weights a run was begun (``--init-from``), all the way back.

    Returns
    -------
    images, hours : int or None, float or None
        0 for a run that was begun with random weights; None where a run on the way is not there any more.
    """
    found = _ancestors(run)
    if found is None:
        return None, None
    return sum(found.values()), _sum(*(hours(path / STATS, images=images) for path, images in found.items()))


def _ancestors(run: Path) -> dict[Path, int] | None:
    """Runs from whose weights a run was begun, and at how many images they were; None if one is not there any more."""
    found: dict[Path, int] = {}
    seen, source = {run.resolve()}, _init_from(run)
    while source is not None:
        try:
            weights = checkpoint.read(source)
        except UserError:
            return None
        run = weights.path.parent.parent.resolve()
        if run in seen:
            return None
        seen.add(run)
        found[run] = weights.images
        source = _init_from(run)
    return found


def _init_from(run: Path) -> Path | None:
    value = (_marker(run).get("settings") or {}).get("init_from")
    return Path(value) if value else None


def _marker(run: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load((run / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}


def _machine(run: Path) -> str | None:
    """Device of a run, and how many processes or threads worked on it."""
    machine = _marker(run).get("machine") or {}
    if "device" not in machine:
        return None
    if machine["device"] == "cpu":
        threads = machine.get("threads")
        return f"cpu, {threads} thread{'s' * (threads != 1)}"
    return f"{machine.get('processes', 1)} × {machine['device']}"


def of_model(folder: Path, facts: dict[str, Any], parameters: int) -> Trained:
    """The training of a DeepFaceDrawing in a run's folder, by its model's facts."""
    images = facts.get("images") or {}
    run = folder / "fm-is"
    second = hours(run / STATS, images=images.get("fm-is"))
    first = _first_hours(folder)
    most = _sum(max((images.get("ce") or {}).values(), default=None), earlier(folder / "ce")[0])
    more, longer = earlier(run)
    return Trained(
        _sum(images.get("fm-is"), more),
        most,
        first,
        _sum(second, longer),
        parameters,
        **_words(facts),
        machine=_machine(run),
    )


def _first_hours(folder: Path) -> float | None:
    """Hours of stage 1: of all parts together, of those trained alone on top, and of what these began from."""
    names = ("ce", *(f"ce-{part}" for part in PARTS))
    own = [run for name in names if hours((run := (folder / name).resolve()) / STATS) is not None]
    counted: dict[Path, int | None] = {}
    for run in own:
        found = _ancestors(run)
        if found is None:
            return None
        counted |= found
    counted |= dict.fromkeys(own)  # whole, though a part may have begun from the run of all parts
    return _sum(*(hours(run / STATS, images=images) for run, images in counted.items())) if own else None


def of_baseline(folder: Path, facts: dict[str, Any], parameters: int) -> Trained:
    """The training of a baseline in a run's folder, by its model's facts."""
    images = facts.get("images")
    second = hours(folder / STATS, images=images)
    more, longer = earlier(folder)
    return Trained(
        _sum(images, more), 0, 0.0, _sum(second, longer), parameters, **_words(facts), machine=_machine(folder)
    )


def _sum(*values: Any) -> Any:
    """The sum, or None if one of them is unknown."""
    return None if any(value is None for value in values) else sum(values)


def _words(facts: dict[str, Any]) -> dict[str, Any]:
    names = {"batch": "step", "preset": "preset", "seed": "seed", "precision": "precision"}
    return {name: facts.get(key) for name, key in names.items()}


def table(trained: dict[tuple[str, ...], Trained]) -> Iterator[str]:
    """Markdown: a row for each training, the first being what the others are compared with.

    Parameters
    ----------
    trained : dict
        By the titles of the drawers that came out of it.
    """
    ours = next(iter(trained.values()))
    heads = (
        "parameters",
        "images",
        "÷ ours",
        "hours",
        "÷ ours",
        "of these in stage 1",
        "machine",
        "batch",
        "preset",
        "seed",
    )
    yield f"| | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for titles, one in trained.items():
        stage = "–" if one.first_images == 0 else f"{_count(one.first_images)} images, {_number(one.first_hours)} h"
        cells = [
            f"{one.parameters / 1e6:.1f} M", _count(one.images), _ratio(one.images, ours.images), _number(one.hours),
            _ratio(one.hours, ours.hours), stage, _text(one.machine), _text(one.batch), _text(one.preset),
            _text(one.seed),
        ]  # fmt: skip
        yield f"| {', '.join(titles)} | {' | '.join(cells)} |"
    yield ""
    yield (
        "Parameters are the generator's, without stage 1's encoders. Images are those that the generator saw, repeats "
        "counted: at an equal number of images their quotient is 1. Hours are those of all stages on the machine of "
        "the run, so that stage 1 counts as ours: at equal time on equal machines their quotient is 1. Runs that "
        "weights were begun from (--init-from) count in both."
        + ("" if all(one.hours is not None for one in trained.values()) else " –: the run's statistics are not there.")
    )


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> Sequence[str]:
    """Settings of two trainings that are not the same though they should be, as words."""
    found = [
        f"{key} {theirs[key]}, not {ours[key]}"
        for key in _SHARED
        if key in ours and key in theirs and ours[key] != theirs[key]
    ]
    first, second = ours.get("data", {}), theirs.get("data", {})
    found += [
        f"{name} {second[key]}, not {first[key]}"
        for key, name in (("pairs", "pairs"), ("split", "split"), ("sketch", "sketches"), ("augment", "augment"))
        if key in first and key in second and first[key] != second[key]
    ]
    if not found and first.get("content") != second.get("content"):
        found = ["other pairs"]
    return found


_SHARED = (
    "lr", "betas", "gan", "feature_matching", "l1", "perceptual", "perceptual_layers", "perceptual_size",
    "perceptual_weights", "ndf", "scales", "condition",
)  # fmt: skip


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def _ratio(value: float | None, whole: float | None) -> str:
    return "–" if value is None or not whole else f"{value / whole:.2f}"
