"""How a sketch-to-face model stands sketches that get worse and worse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep import files, host, preview
from sketchprep.evaluation import figure, robustness_settings
from sketchprep.evaluation.degrade import KINDS, degrade
from sketchprep.evaluation.drawers import Item, Subject, open_subject
from sketchprep.evaluation.faces import BATCH, TILE, folder_for
from sketchprep.evaluation.likeness import Judge
from sketchprep.evaluation.robustness_report import RobustnessReport
from sketchprep.evaluation.robustness_settings import Settings

__all__ = ["evaluate_robustness"]

CLEAN = ("", 0.0)


def evaluate_robustness(
    run: str | Path | None,
    data: str | Path,
    out: str | Path | None = None,
    *,
    model: str | Path | None = None,
    bank: str | Path | None = None,
    split: str = "test",
    preset: str | Path = robustness_settings.NAME,
    limit: int | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: Callable[[int, str], Any] | None = None,
) -> RobustnessReport:
    """Spoil a split's sketches in four ways by degrees, draw them, and compare the faces with the photos.

    The same command on the same machine gives the same figures.

    Parameters
    ----------
    run, data, model, bank, split, device, offline, progress
        See `sketchprep.evaluation.faces.evaluate_faces`.
    out : path, optional
        Folder for ``table.md``, ``metrics.json``, ``curves.png`` and ``sheet.jpg``; default ``robustness-SPLIT`` in
        the run.
    preset : str or path
        See `sketchprep.evaluation.robustness_settings.load`.
    limit : int, optional
        At most that many faces, instead of the preset's number.

    Returns
    -------
    RobustnessReport

    Raises
    ------
    UserError
        For a mistake in the preset, or if the model, the bank, the split, the pictures' size or weights are missing or
        do not fit.
    """
    settings = robustness_settings.load(preset)
    subject = open_subject(
        run,
        data,
        model=model,
        bank=bank,
        split=split,
        wbs=settings.wb,
        k=settings.k,
        limit=settings.limit if limit is None else limit,
        device=device,
    )
    folder = folder_for(run, model, out, f"robustness-{split}")
    judge = Judge(device=host.resolve_device(device), offline=offline)
    report = RobustnessReport(folder, settings, subject.about, list(subject.drawers), notes=list(subject.notes))
    display = progress(len(subject.faces), "evaluating") if progress else None
    for items in _batches(subject):
        _measure(subject, judge, items, settings, report)
        if display:
            display.update(len(items))
    if display:
        display.close()
    files.write(report.text().encode(), folder / "table.md")
    files.write((json.dumps(report.values(), indent=1) + "\n").encode(), folder / "metrics.json")
    preview.save(figure.draw(report.panels()), folder / "curves.png")
    preview.save(_sheet(subject, settings), folder / "sheet.jpg")
    return report


def conditions(settings: Settings) -> Iterator[tuple[str, float]]:
    """Kind and amount of all degradations, the sketch as it is first."""
    yield CLEAN
    for kind in KINDS:
        for amount in settings.amounts(kind)[1:]:
            yield kind, amount


def _batches(subject: Subject) -> Iterator[list[Item]]:
    for start in range(0, len(subject.faces), BATCH):
        yield [subject.faces[at] for at in range(start, min(start + BATCH, len(subject.faces)))]


def _measure(subject: Subject, judge: Judge, items: list[Item], settings: Settings, report: RobustnessReport) -> None:
    """Draw a batch under all conditions; a photo's features are computed once for all of them."""
    photos = [judge.look(item.photo, item.landmarks) for item in items]
    for item, wanted in zip(items, photos, strict=True):
        report.photo(item.name, wanted)
    for condition in conditions(settings):
        sketches = np.stack([_spoilt(item, condition, settings.seed) for item in items])
        for title, draw in subject.drawers.items():
            for face, wanted in zip(draw(sketches), photos, strict=True):
                report.add(title, condition, judge.compare(face, wanted))


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
            faces = [draw(sketch[None])[0] for draw in subject.drawers.values()]
            rows.append([sketch, item.photo, *faces])
    return preview.contact_sheet(rows, ["sketch", "photo", *subject.drawers], tile=TILE)


def _shown(settings: Settings) -> Iterator[tuple[str, float]]:
    yield CLEAN
    for kind in KINDS:
        amounts = settings.amounts(kind)[1:]
        for at in sorted({(len(amounts) - 1) // 2, len(amounts) - 1} if amounts else set()):
            yield kind, amounts[at]
