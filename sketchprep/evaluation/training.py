"""What the ways from sketch to face under comparison were trained with: pictures, hours, batch, preset, seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sketchprep.ops.components import PARTS

__all__ = ["Trained", "hours", "of_baseline", "of_model", "table"]


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes
    ----------
    images : int or None
        Pictures that the generator saw, each time anew; None where a model does not tell.
    first_images, first_hours : int, float or None
        Of stage 1, which a baseline does not have: 0 there.  None where the run's statistics are not beside the model.
    second_hours : float or None
        Of the generator's training.
    parameters : int
        Of the trained generator; encoders of stage 1 come on top.
    batch, preset, seed, precision
        None where a model does not tell.
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

    @property
    def hours(self) -> float | None:
        """Of all stages."""
        known = self.first_hours is not None and self.second_hours is not None
        return self.first_hours + self.second_hours if known else None  # type: ignore[operator]

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


def of_model(folder: Path, facts: dict[str, Any], parameters: int) -> Trained:
    """The training of a DeepFaceDrawing in a run's folder, by its model's facts."""
    images = facts.get("images") or {}
    second = hours(folder / "fm-is" / "stats.jsonl", images=images.get("fm-is"))
    # A part that was trained alone took its time on top of what all parts together took.
    firsts = [hours(folder / name / "stats.jsonl") for name in ("ce", *(f"ce-{part}" for part in PARTS))]
    known = [value for value in firsts if value is not None]
    first = sum(known) if known else None
    most = max((images.get("ce") or {}).values(), default=None)
    return Trained(images.get("fm-is"), most, first, second, parameters, *_words(facts))


def of_baseline(folder: Path, facts: dict[str, Any], parameters: int) -> Trained:
    """The training of a baseline in a run's folder, by its model's facts."""
    images = facts.get("images")
    return Trained(images, 0, 0.0, hours(folder / "stats.jsonl", images=images), parameters, *_words(facts))


def _words(facts: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(facts.get(key) for key in ("step", "preset", "seed", "precision"))


def table(trained: dict[tuple[str, ...], Trained]) -> Iterator[str]:
    """Markdown: a row for each training, the first being what the others are compared with.

    Parameters
    ----------
    trained : dict
        By the titles of the drawers that came out of it.
    """
    ours = next(iter(trained.values()))
    heads = ("parameters", "images", "÷ ours", "hours", "÷ ours", "of these in stage 1", "batch", "preset", "seed")
    yield f"| | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for titles, one in trained.items():
        stage = "–" if one.first_images == 0 else f"{_count(one.first_images)} images, {_number(one.first_hours)} h"
        cells = [
            f"{one.parameters / 1e6:.1f} M", _count(one.images), _ratio(one.images, ours.images), _number(one.hours),
            _ratio(one.hours, ours.hours), stage, _text(one.batch), _text(one.preset), _text(one.seed),
        ]  # fmt: skip
        yield f"| {', '.join(titles)} | {' | '.join(cells)} |"
    yield ""
    yield (
        "Parameters are the generator's, without stage 1's encoders. Images are those that the generator saw, repeats "
        "counted: at an equal number of images their quotient is 1. Hours are those of all stages on the machine of "
        "the run, so that stage 1 counts as ours: at equal time their quotient is 1."
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
