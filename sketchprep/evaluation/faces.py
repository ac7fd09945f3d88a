"""Sketch-to-face models on held-out pairs: every face compared with its photo, and all faces with all photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.evaluation.distribution import BANDWIDTH, Estimate
from sketchprep.evaluation.identity import FEATURES
from sketchprep.evaluation.inception import FEATURES as INCEPTION
from sketchprep.evaluation.paired_metrics import METRICS, PairedMetrics, Reference
from sketchprep.evaluation.report import TILE, Compared, Measured, cell, figure, plain, table, write
from sketchprep.evaluation.subject import Item, Subject
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.training.cost import Trained
from sketchprep.training.cost import table as training_table

if TYPE_CHECKING:
    from sketchprep.evaluation.inception import Inception

__all__ = ["OTHERS", "FaceReport", "evaluate_faces", "reading"]

OTHERS = "another person's photo"
ROWS = 12
"""Of the contact sheet."""


def evaluate_faces(
    subject: Subject,
    metrics: PairedMetrics,
    out: Path,
    *,
    inception: Inception | None = None,
    progress: Callable[[int, str], Any] | None = None,
) -> FaceReport:
    """Compare the faces generated from the subject's sketches with the photos.

    Parameters
    ----------
    subject : Subject
    metrics : PairedMetrics
    out : Path
        Folder for ``table.md``, ``metrics.json`` and ``sheet.jpg``.
    inception : Inception, optional
        Measures on its features too.
    progress : callable, optional
        Given the number of pictures and a description; returns something with ``update`` and ``close``.
    """
    report = FaceReport(out, subject.about, subject.setup, subject.trained, notes=list(subject.notes))
    others = subject.pairs.of_another_split()
    count = len(subject.pairs)
    display = progress(count, "evaluating") if progress else None
    shown = {i * count // ROWS for i in range(ROWS)}
    rows: list[list[np.ndarray]] = []
    for start, items in subject.batches():
        generated = subject.generate([item.sketch for item in items])
        for at, item in enumerate(items):
            faces = {title: batch[at] for title, batch in generated.items()}
            other = None if others is None else others[start + at]
            _measure(report, metrics, inception, item, faces, other)
            if start + at in shown:
                rows.append([item.sketch, item.photo, *faces.values()])
            if display:
                display.update()
    if display:
        display.close()
    write(report, contact_sheet(rows, ["sketch", "photo", *subject.generators], tile=TILE))
    return report


def _measure(
    report: FaceReport,
    metrics: PairedMetrics,
    inception: Inception | None,
    item: Item,
    faces: Mapping[str, np.ndarray],
    other: Item | None,
) -> None:
    reference = metrics.reference(item.photo, item.landmarks)
    report.add(item.name, reference, {title: metrics.compare(face, reference) for title, face in faces.items()})
    if other is not None:
        report.add_other(_compare_other(metrics, other, reference))
    if inception is not None:
        more = {} if other is None else {OTHERS: other.photo}
        report.add_inception(inception(item.photo), {t: inception(face) for t, face in {**faces, **more}.items()})


def _compare_other(metrics: PairedMetrics, other: Item, reference: Reference) -> Compared:
    points = metrics.landmarker.frame_points(other.photo) if other.landmarks is None else other.landmarks
    figures, described = metrics.compare(other.photo, reference, points=points)
    return {**figures, "off": None}, described


@dataclass
class FaceReport:
    """What was measured.

    Attributes
    ----------
    out : Path
        Where the files lie.
    about, setup
        See `sketchprep.evaluation.subject.Subject`.
    trained : dict of tuple of str to Trained
        What the rows were trained with, see `sketchprep.training.cost.table`.
    notes : list of str
        What a reader must know.
    measured : Measured
        The figures, by title.
    inception : Measured, optional
        Inception's features, by title.
    """

    out: Path
    about: dict[str, Any]
    setup: str
    trained: dict[tuple[str, ...], Trained]
    notes: list[str] = field(default_factory=list)
    measured: Measured[str] = field(default_factory=Measured)
    inception: Measured[str] | None = None

    def add(self, name: str, wanted: Reference, compared: Mapping[str, Compared]) -> None:
        """Take in one face: its photo, and what was drawn of it compared with that."""
        self.measured.photo(name, wanted.described)
        for title, one in compared.items():
            self.measured.add(title, one)

    def add_other(self, compared: Compared) -> None:
        """Take in a stranger's photo compared with the photo of the face added last."""
        self.measured.add(OTHERS, compared)

    def add_inception(self, photo: np.ndarray, made: Mapping[str, np.ndarray]) -> None:
        """Take in Inception's features of the photo added last, and of what was drawn of it."""
        if self.inception is None:
            self.inception = Measured(bandwidth=None)
        self.inception.photo(self.measured.names[-1], photo)
        for title, features in made.items():
            self.inception.add(title, ({}, features))

    @property
    def kernel(self) -> dict[str, Estimate]:
        """Kernel distance of each set of faces to the photos."""
        return self.measured.kernel

    @property
    def frechet(self) -> dict[str, float | None]:
        """Fréchet distance of each set of faces to the photos; None where there are too few faces."""
        return self.measured.frechet

    def values(self) -> dict[str, Any]:
        """All of it in plain values; the same for the same faces, weights and machine."""
        rows = [
            {"id": name, **{title: rows[at] for title, rows in self.measured.figures.items()}}
            for at, name in enumerate(self.measured.names)
        ]
        return {
            **self.about,
            "bandwidth": BANDWIDTH,
            "means": plain(self.measured.means),
            "kernel": plain(self.kernel),
            "frechet": self.frechet,
            **self._inception(),
            "notes": self.notes,
            "faces": rows,
        }

    def _inception(self) -> dict[str, Any]:
        if self.inception is None:
            return {}
        return {"inception": {"kernel": plain(self.inception.kernel), "frechet": self.inception.frechet}}

    def text(self) -> str:
        """The report in Markdown."""
        data = self.about["data"]
        lines = [f"# Sketch to face: {len(self.measured.names)} faces of the split `{data['split']}`", ""]
        lines += [f"At {data['size']} px, {self.setup}; model sha256 {self.about['model']}.", ""]
        lines += [*self._table(), "", *_legend(), ""]
        lines += ["## What was trained", "", *training_table(self.trained), "", "## What these figures can show", ""]
        lines += [
            *(f"- {line}" for line in [*reading(len(self.measured.names)), *self._floor(), *self._of_inception()]),
            "",
        ]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def _table(self) -> Iterator[str]:
        heads = ["", *METRICS.values(), "kernel × 1000", "Fréchet"]
        heads += [] if self.inception is None else ["Inception: kernel × 1000", "Inception: Fréchet"]
        return table(heads, (self._row(title) for title in self.measured.means))

    def _row(self, title: str) -> list[str]:
        means = self.measured.means[title]
        sets = [self.measured] if self.inception is None else [self.measured, self.inception]
        distances = [text for one in sets for text in (figure(one.kernel[title]), _frechet(one.frechet[title]))]
        return [title, *(cell(means[key], key) for key in METRICS), *distances]

    def _of_inception(self) -> Iterator[str]:
        if self.inception is None:
            return
        few = "" if len(self.measured.names) > INCEPTION else f", FID takes at least {INCEPTION + 1:,} faces"
        yield (
            f"Inception: {INCEPTION:,} features of whole pictures, kernel distance with the cubic kernel of KID{few}. "
            "That network knows things, not faces, and sees hair and background."
        )

    def _floor(self) -> Iterator[str]:
        if OTHERS in self.measured.figures:
            yield (
                f"The last row takes as many photos of other people for the results: its kernel distance is 0 but for "
                f"chance{_and_frechet(self.frechet[OTHERS])}; its identity distance is that of strangers. A result as "
                "far from its photo as that keeps nothing of the person that the descriptor sees."
            )


def _frechet(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _and_frechet(value: float | None) -> str:
    return "" if value is None else f", and its Fréchet distance of {value:.3f} comes from the number of faces alone"


def _legend() -> Iterator[str]:
    yield (
        "L1: mean absolute difference, colours 0 to 1. SSIM: structural similarity, 1 at best. Perceptual: difference "
        "of the activations of the trunk that training may use as well. Identity: distance of dlib's 128-number face "
        "descriptor between result and photo, at the photo's landmarks; photos of one person are as a rule below 0.6. "
        "Face found: dlib's detector sees exactly one face. Landmarks off: mean distance of its landmarks from the "
        "photo's, in per cent of the picture's side, where a face was found. Kernel: squared maximum mean discrepancy "
        f"of the descriptors, Gaussian kernel of σ = {BANDWIDTH:g}, without terms of a face with its own photo. "
        "Fréchet: of normal distributions fitted to the descriptors. In brackets: 95 % intervals over the faces, by "
        "bootstrap, for the kernel distance by jackknife."
    )


def reading(count: int) -> Iterator[str]:
    """Sentences on what so many faces can and cannot show."""
    yield (
        f"{count} faces show differences that are larger than the intervals; of two rows whose intervals overlap a "
        "little, the figures of each face (metrics.json) tell more than the means, since all rows draw the same faces."
    )
    if count > FEATURES:
        yield (
            f"The Fréchet distance estimates {FEATURES * (FEATURES + 1) // 2:,} covariances from {count} faces and is "
            "too high for every row; rows of this table compare with each other, not with figures from other numbers "
            "of faces or other features. The kernel distance has no such bias."
        )
    else:
        yield (
            f"The Fréchet distance is left out: {count} faces are too few for {FEATURES} features, it takes at least "
            f"{FEATURES + 1}."
        )
    yield (
        "They cannot show rare faults, nor how a model does on faces that the corpus has few of: what happens to one "
        f"face in {max(2, round(count / 3))} is missed once in twenty times."
    )
    yield (
        "The descriptor was trained to tell people apart and overlooks hair, background and fine texture; sheet.jpg "
        "shows what it does not count. The intervals are over faces, not over trainings: another seed may differ by "
        "more."
    )
