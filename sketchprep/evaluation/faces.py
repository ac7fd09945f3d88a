"""The evaluation of a sketch-to-face model on pairs that it never saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.evaluation.face_report import OTHERS, FaceReport
from sketchprep.evaluation.paired_metrics import PairedMetrics, Reference
from sketchprep.evaluation.subject import WBS, EvaluationConfig, HeldOutPairs, Item, Subject
from sketchprep.io import files
from sketchprep.io.contact_sheet import contact_sheet, save_picture
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS

if TYPE_CHECKING:
    from sketchprep.evaluation.robustness_report import RobustnessReport

__all__ = ["TILE", "evaluate_faces", "write"]

SHEET = 12  # rows
TILE = 192


def evaluate_faces(
    choice: EvaluationConfig,
    out: str | Path | None = None,
    *,
    wbs: Sequence[float] = WBS,
    k: int = NEIGHBOURS,
    inception: str | Path | None = None,
    progress: Callable[[int, str], Any] | None = None,
) -> FaceReport:
    """Draw the faces of a split from their sketches and compare them with the photos.

    The same command on the same machine gives the same figures.

    Parameters
    ----------
    choice : EvaluationConfig
        The model, what it is compared with, and the pairs.
    out : path, optional
        Folder for ``table.md``, ``metrics.json`` and ``sheet.jpg``; default ``evaluation-SPLIT`` in the run.
    wbs, k
        See `EvaluationConfig.open`.
    inception : path, optional
        Measure on Inception's features too: their weights, or ``"auto"`` for where torch-fidelity keeps them, see
        `sketchprep.evaluation.inception.Inception`.
    progress : callable, optional
        Given the number of pictures and a description; returns something with ``update`` and ``close``.

    Returns
    -------
    FaceReport

    Raises
    ------
    UserError
        If a model, the bank, the split, the pictures' size or weights are missing or do not fit.
    """
    network = choice.inception(inception) if inception is not None else None
    subject = choice.open(wbs=wbs, k=k)
    folder = choice.folder(out, "evaluation")
    judge = choice.judge()
    report = FaceReport(folder, subject.about, subject.trained, notes=list(subject.notes))
    others = _others(subject, choice.data)
    count = len(subject.faces)
    display = progress(count, "evaluating") if progress else None
    shown = {i * count // SHEET for i in range(SHEET)}
    rows: list[list[np.ndarray]] = []
    for start, items in subject.batches():
        drawn = subject.draw([item.sketch for item in items])
        for at, item in enumerate(items):
            wanted = judge.reference(item.photo, item.landmarks)
            faces = {title: made[at] for title, made in drawn.items()}
            report.add(item.name, wanted, {title: judge.compare(face, wanted) for title, face in faces.items()})
            other = None if others is None else others[start + at]
            if other is not None:
                report.add_other(_strange(judge, other, wanted))
            if network is not None:
                more = {} if other is None else {OTHERS: other.photo}
                report.add_inception(network(item.photo), {t: network(face) for t, face in {**faces, **more}.items()})
            if start + at in shown:
                rows.append([item.sketch, item.photo, *faces.values()])
            if display:
                display.update()
    if display:
        display.close()
    write(report, contact_sheet(rows, ["sketch", "photo", *subject.drawers], tile=TILE))
    return report


def write(report: FaceReport | RobustnessReport, sheet: np.ndarray) -> None:
    """Write a report's table, figures and contact sheet into its folder."""
    files.write(report.text().encode(), report.out / "table.md")
    files.write((json.dumps(report.values(), indent=1) + "\n").encode(), report.out / "metrics.json")
    save_picture(sheet, report.out / "sheet.jpg")


def _others(subject: Subject, data: str | Path) -> HeldOutPairs | None:
    """As many pairs of another split, whose photos show what strangers score; None if there are not so many."""
    from sketchprep.datasets.reader import open_pairs

    faces = subject.faces
    counts = {row["values"]: row["counts"] for row in open_pairs(data).table["split"].value_counts().to_pylist()}
    for split in ("train", "val", "test"):
        if split != faces.split and counts.get(split, 0) >= len(faces):
            return HeldOutPairs(data, size=faces.size, split=split, sketch=subject.sketch, limit=len(faces))
    return None


def _strange(judge: PairedMetrics, item: Item, wanted: Reference) -> tuple[dict[str, float | None], np.ndarray]:
    points = judge.landmarker.frame_points(item.photo) if item.landmarks is None else item.landmarks
    figures, described = judge.compare(item.photo, wanted, points=points)
    return {**figures, "off": None}, described
