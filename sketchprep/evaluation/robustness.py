"""Sketch-to-face models on degraded sketches: strokes jittered, dropped, thickened or parts erased, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel, load_preset
from sketchprep.evaluation.degrade import KINDS, degrade
from sketchprep.evaluation.paired_metrics import PairedMetrics
from sketchprep.evaluation.report import TILE, write
from sketchprep.evaluation.robustness_report import Condition, RobustnessReport
from sketchprep.evaluation.subject import Item, Subject
from sketchprep.io import plots
from sketchprep.io.contact_sheet import contact_sheet, save_picture

__all__ = ["NAME", "Settings", "evaluate_robustness", "load"]

NAME = "robustness"
CLEAN: Condition = ("", 0.0)


class Settings(FrozenModel):
    """All that decides a robustness evaluation besides the model and the pairs; see ``pipelines/robustness.yaml``."""

    seed: int = Field(default=0, ge=0)
    resamples: int = Field(default=2000, ge=1, le=100_000)
    limit: int | None = Field(default=100, ge=2)
    wb: tuple[float, ...] = Field(default=(0, 0.5, 1), min_length=1)
    k: int = Field(default=10, ge=1)
    jitter: tuple[float, ...] = (2, 4, 8, 16)
    drop: tuple[float, ...] = (0.15, 0.3, 0.5, 0.7)
    thicken: tuple[float, ...] = (2, 4, 7, 10)
    erase: tuple[int, ...] = (1, 2, 3, 4)
    sheet: int = Field(default=3, ge=0, le=50)

    @field_validator("wb")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= share <= 1 for share in value) or len(set(value)) != len(value):
            raise ValueError("must be different numbers from 0 to 1")
        return value

    @field_validator("jitter", "drop", "thicken", "erase")
    @classmethod
    def _growing(cls, value: tuple[float, ...], info: Any) -> tuple[float, ...]:
        most = {"jitter": 64, "drop": 1, "thicken": 64, "erase": 5}[info.field_name]
        if list(value) != sorted(set(value)) or not all(0 < amount <= most for amount in value):
            raise ValueError(f"amounts must grow and lie above 0 and at most {most}")
        return value

    def amounts(self, kind: str) -> tuple[float, ...]:
        """The amounts of a kind of degradation, 0 first."""
        return (0, *getattr(self, kind))

    def conditions(self) -> Iterator[Condition]:
        """Kind and amount of all degradations, the sketch as it is first."""
        yield CLEAN
        for kind in KINDS:
            for amount in self.amounts(kind)[1:]:
                yield kind, amount


def load(preset: str | Path = NAME) -> Settings:
    """Read a preset: ``"robustness"``, the shipped one, or the path of a YAML file.

    Raises
    ------
    UserError
        If it cannot be read, or names what does not exist.
    """
    return load_preset(Settings, preset, NAME)


def evaluate_robustness(
    subject: Subject,
    metrics: PairedMetrics,
    out: Path,
    settings: Settings,
    *,
    progress: Callable[[int, str], Any] | None = None,
) -> RobustnessReport:
    """Degrade the subject's sketches, generate faces from them, and compare these with the photos.

    Parameters
    ----------
    subject, metrics, progress
        See `sketchprep.evaluation.faces.evaluate_faces`.
    out : Path
        Folder for ``table.md``, ``metrics.json``, ``curves.png`` and ``sheet.jpg``.
    settings : Settings
    """
    report = RobustnessReport(out, settings, subject)
    display = progress(len(subject.pairs), "evaluating") if progress else None
    for _, items in subject.batches():
        _measure(subject, metrics, items, report)
        if display:
            display.update(len(items))
    if display:
        display.close()
    write(report, _sheet(subject, settings))
    save_picture(plots.draw(report.panels(), shared=True), out / "curves.png")
    return report


def _measure(subject: Subject, metrics: PairedMetrics, items: list[Item], report: RobustnessReport) -> None:
    """Measure a batch under all conditions; a photo's features are computed once for all of them."""
    references = [metrics.reference(item.photo, item.landmarks) for item in items]
    for item, reference in zip(items, references, strict=True):
        report.measured.photo(item.name, reference.described)
    for condition in report.settings.conditions():
        generated = subject.generate([_degraded(item, condition, report.settings.seed) for item in items])
        for title, faces in generated.items():
            for face, reference in zip(faces, references, strict=True):
                report.measured.add((title, condition), metrics.compare(face, reference))


def _degraded(item: Item, condition: Condition, seed: int) -> np.ndarray:
    kind, amount = condition
    if condition == CLEAN:
        return item.sketch
    return degrade(item.sketch, kind, amount, name=item.name, seed=seed, landmarks=item.landmarks)


def _sheet(subject: Subject, settings: Settings) -> np.ndarray:
    """A few faces: as they are, and under each kind at the middle and the largest amount."""
    rows = []
    count = min(settings.sheet, len(subject.pairs))
    for number in (i * len(subject.pairs) // count for i in range(count)):
        item = subject.pairs[number]
        for condition in _shown(settings):
            sketch = _degraded(item, condition, settings.seed)
            rows.append([sketch, item.photo, *(faces[0] for faces in subject.generate([sketch]).values())])
    return contact_sheet(rows, ["sketch", "photo", *subject.generators], tile=TILE)


def _shown(settings: Settings) -> Iterator[Condition]:
    yield CLEAN
    for kind in KINDS:
        amounts = settings.amounts(kind)[1:]
        for at in sorted({(len(amounts) - 1) // 2, len(amounts) - 1} if amounts else set()):
            yield kind, amounts[at]
