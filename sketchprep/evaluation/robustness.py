"""How a sketch-to-face model stands sketches that get worse and worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.evaluation import robustness_settings
from sketchprep.evaluation.degrade import KINDS, degrade
from sketchprep.evaluation.faces import TILE, write
from sketchprep.evaluation.paired_metrics import PairedMetrics
from sketchprep.evaluation.robustness_report import RobustnessReport
from sketchprep.evaluation.robustness_settings import Settings
from sketchprep.evaluation.subject import EvaluationConfig, Item, Subject
from sketchprep.io import plots
from sketchprep.io.contact_sheet import contact_sheet, save_picture

__all__ = ["evaluate_robustness"]

CLEAN = ("", 0.0)


def evaluate_robustness(
    choice: EvaluationConfig,
    out: str | Path | None = None,
    *,
    preset: str | Path = robustness_settings.NAME,
    progress: Callable[[int, str], Any] | None = None,
) -> RobustnessReport:
    """Spoil a split's sketches in four ways by degrees, draw them, and compare the faces with the photos.

    The same command on the same machine gives the same figures.

    Parameters
    ----------
    choice : EvaluationConfig
        The model, what it is compared with, and the pairs; its limit goes before the preset's.
    out : path, optional
        Folder for ``table.md``, ``metrics.json``, ``curves.png`` and ``sheet.jpg``; default ``robustness-SPLIT`` in
        the run.
    preset : str or path
        See `sketchprep.evaluation.robustness_settings.load`.
    progress : callable, optional
        See `sketchprep.evaluation.faces.evaluate_faces`.

    Returns
    -------
    RobustnessReport

    Raises
    ------
    UserError
        For a mistake in the preset, without matplotlib, or if a model, the bank, the split, the pictures' size or
        weights are missing or do not fit.
    """
    plots.require()
    settings = robustness_settings.load(preset)
    choice = replace(choice, limit=settings.limit if choice.limit is None else choice.limit)
    subject = choice.open(wbs=settings.wb, k=settings.k)
    folder = choice.folder(out, "robustness")
    judge = choice.judge()
    report = RobustnessReport(folder, settings, subject.about, subject.trained, notes=list(subject.notes))
    display = progress(len(subject.faces), "evaluating") if progress else None
    for _, items in subject.batches():
        _measure(subject, judge, items, settings, report)
        if display:
            display.update(len(items))
    if display:
        display.close()
    write(report, _sheet(subject, settings))
    save_picture(plots.draw(report.panels(), shared=True), folder / "curves.png")
    return report


def conditions(settings: Settings) -> Iterator[tuple[str, float]]:
    """Kind and amount of all degradations, the sketch as it is first."""
    yield CLEAN
    for kind in KINDS:
        for amount in settings.amounts(kind)[1:]:
            yield kind, amount


def _measure(
    subject: Subject, judge: PairedMetrics, items: list[Item], settings: Settings, report: RobustnessReport
) -> None:
    """Draw a batch under all conditions; a photo's features are computed once for all of them."""
    photos = [judge.reference(item.photo, item.landmarks) for item in items]
    for item, wanted in zip(items, photos, strict=True):
        report.measured.photo(item.name, wanted.described)
    for condition in conditions(settings):
        drawn = subject.draw([_spoilt(item, condition, settings.seed) for item in items])
        for title, faces in drawn.items():
            for face, wanted in zip(faces, photos, strict=True):
                report.measured.add((title, condition), judge.compare(face, wanted))


def _spoilt(item: Item, condition: tuple[str, float], seed: int) -> np.ndarray:
    kind, amount = condition
    if condition == CLEAN:
        return item.sketch
    return degrade(item.sketch, kind, amount, name=item.name, seed=seed, landmarks=item.landmarks)


def _sheet(subject: Subject, settings: Settings) -> np.ndarray:
    """A few faces: as they are, and under each kind at the middle and the largest amount."""
    rows = []
    count = min(settings.sheet, len(subject.faces))
    for number in (i * len(subject.faces) // count for i in range(count)):
        item = subject.faces[number]
        for condition in _shown(settings):
            sketch = _spoilt(item, condition, settings.seed)
            rows.append([sketch, item.photo, *(faces[0] for faces in subject.draw([sketch]).values())])
    return contact_sheet(rows, ["sketch", "photo", *subject.drawers], tile=TILE)


def _shown(settings: Settings) -> Iterator[tuple[str, float]]:
    yield CLEAN
    for kind in KINDS:
        amounts = settings.amounts(kind)[1:]
        for at in sorted({(len(amounts) - 1) // 2, len(amounts) - 1} if amounts else set()):
            yield kind, amounts[at]
