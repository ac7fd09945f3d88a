"""The evaluation of a sketch-to-face model on pairs that it never saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep import files, host, preview
from sketchprep.errors import UserError
from sketchprep.evaluation.drawers import WBS, Held, Item, Subject, open_subject
from sketchprep.evaluation.face_report import FaceReport
from sketchprep.evaluation.likeness import Judge, Wanted
from sketchprep.manifold import NEIGHBOURS

__all__ = ["evaluate_faces", "folder_for"]

BATCH = 8
SHEET = 12  # rows
TILE = 192


def evaluate_faces(
    run: str | Path | None,
    data: str | Path,
    out: str | Path | None = None,
    *,
    model: str | Path | None = None,
    bank: str | Path | None = None,
    split: str = "test",
    wbs: Sequence[float] = WBS,
    k: int = NEIGHBOURS,
    limit: int | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: Callable[[int, str], Any] | None = None,
) -> FaceReport:
    """Draw the faces of a split from their sketches and compare them with the photos.

    The same command on the same machine gives the same figures.

    Parameters
    ----------
    run : path, optional
        A run of `sketchprep train deepfacedrawing`.
    data : path
        A built dataset.
    out : path, optional
        Folder for ``table.md``, ``metrics.json`` and ``sheet.jpg``; see `folder_for`.
    model, bank : path, optional
        Instead of a run, a model's file; another bank than the one beside it.
    split : str
    wbs, k, limit
        See `sketchprep.evaluation.drawers.open_subject`.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch weights.
    progress : callable, optional
        Given the number of pictures and a description; returns something with ``update`` and ``close``.

    Returns
    -------
    FaceReport

    Raises
    ------
    UserError
        If the model, the bank, the split, the pictures' size or weights are missing or do not fit.
    """
    subject = open_subject(run, data, model=model, bank=bank, split=split, wbs=wbs, k=k, limit=limit, device=device)
    folder = folder_for(run, model, out, f"evaluation-{split}")
    judge = Judge(device=host.resolve_device(device), offline=offline)
    report = FaceReport(folder, subject.about, notes=list(subject.notes))
    others = _others(subject, data)
    count = len(subject.faces)
    display = progress(count, "evaluating") if progress else None
    shown = {i * count // SHEET for i in range(SHEET)}
    rows: list[list[np.ndarray]] = []
    for start, items, drawn in batches(subject):
        for at, item in enumerate(items):
            wanted = judge.look(item.photo, item.landmarks)
            faces = {title: made[at] for title, made in drawn.items()}
            report.add(item.name, wanted, {title: judge.compare(face, wanted) for title, face in faces.items()})
            if others is not None:
                report.add_other(_strange(judge, others[start + at], wanted))
            if start + at in shown:
                rows.append([item.sketch, item.photo, *faces.values()])
            if display:
                display.update()
    if display:
        display.close()
    files.write(report.text().encode(), folder / "table.md")
    files.write((json.dumps(report.values(), indent=1) + "\n").encode(), folder / "metrics.json")
    preview.save(preview.contact_sheet(rows, ["sketch", "photo", *subject.drawers], tile=TILE), folder / "sheet.jpg")
    return report


def folder_for(run: str | Path | None, model: str | Path | None, out: str | Path | None, name: str) -> Path:
    """The folder of a report, made: `out`, else `name` in the run or beside the model.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    path = Path(run or model or ".")
    folder = Path(out) if out is not None else (path if path.is_dir() else path.parent) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {folder}: cannot be made ({error.strerror}); choose another folder") from None
    return folder


def batches(subject: Subject) -> Iterator[tuple[int, list[Item], dict[str, np.ndarray]]]:
    """Pairs in fixed batches: number of the first, the pairs, and the faces of each drawer."""
    faces = subject.faces
    for start in range(0, len(faces), BATCH):
        items = [faces[number] for number in range(start, min(start + BATCH, len(faces)))]
        sketches = np.stack([item.sketch for item in items])
        yield start, items, {title: draw(sketches) for title, draw in subject.drawers.items()}


def _others(subject: Subject, data: str | Path) -> Held | None:
    """As many pairs of another split, whose photos show what strangers score; None if there are not so many."""
    from sketchprep.dataset import open_pairs

    faces = subject.faces
    counts = {row["values"]: row["counts"] for row in open_pairs(data).table["split"].value_counts().to_pylist()}
    for split in ("train", "val", "test"):
        if split != faces.split and counts.get(split, 0) >= len(faces):
            return Held(data, size=faces.size, split=split, sketch=subject.sketch, limit=len(faces))
    return None


def _strange(judge: Judge, item: Item, wanted: Wanted) -> tuple[dict[str, float | None], np.ndarray]:
    points = judge.landmarker.frame_points(item.photo) if item.landmarks is None else item.landmarks
    figures, described = judge.compare(item.photo, wanted, points=points)
    return {**figures, "off": None}, described
