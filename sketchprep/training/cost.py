"""What the compared models were trained with: images, hours, machine, batch, preset, seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sketchprep.training.run_dir import account

__all__ = ["Trained", "differing", "of_run", "settings_of", "table", "total"]


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes
    ----------
    images : int or None
        Pictures that the generator saw, repeats counted, with those of the runs it was initialised from; None where a
        model does not tell.
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
        return total(self.first_hours, self.second_hours)

    def values(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {**asdict(self), "hours": self.hours}


def of_run(folder: Path, facts: Mapping[str, Any], parameters: int) -> Trained:
    """The training of a model of one stage in a run's folder, by the facts in the model's header."""
    images = facts.get("images")
    spent = account(folder, images)
    return Trained(
        total(images, spent.images_before),
        0,
        0.0,
        total(spent.hours, spent.hours_before),
        parameters,
        **settings_of(facts),
        machine=spent.machine,
    )


def total(*values: Any) -> Any:
    """The sum, or None if one of them is unknown."""
    return None if any(value is None for value in values) else sum(values)


def settings_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Batch, preset, seed and precision by a model's facts."""
    names = {"batch": "step", "preset": "preset", "seed": "seed", "precision": "precision"}
    return {name: facts.get(key) for name, key in names.items()}


def table(trained: dict[tuple[str, ...], Trained]) -> Iterator[str]:
    """Markdown: a row for each training, the first being what the others are compared with.

    Parameters
    ----------
    trained : dict
        By the titles of the generators that came of it.
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
        "weights were initialised from (--init-from) count in both."
        + ("" if all(one.hours is not None for one in trained.values()) else " –: the run's statistics are not there.")
    )


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> Sequence[str]:
    """Settings of two trainings that are not the same though they should be, as text."""
    differences = [
        f"{key} {theirs[key]}, not {ours[key]}"
        for key in _SHARED
        if key in ours and key in theirs and ours[key] != theirs[key]
    ]
    first, second = ours.get("data", {}), theirs.get("data", {})
    differences += [
        f"{name} {second[key]}, not {first[key]}"
        for key, name in (("pairs", "pairs"), ("split", "split"), ("sketch", "sketches"), ("augment", "augment"))
        if key in first and key in second and first[key] != second[key]
    ]
    if not differences and first.get("content") != second.get("content"):
        differences = ["other pairs"]
    return differences


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
