"""The figures of a sketch-to-face model: table in Markdown, JSON, and what so many faces can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.evaluation.descriptor import FEATURES
from sketchprep.evaluation.distances import BANDWIDTH, Estimate, frechet_distance, kernel_distance
from sketchprep.evaluation.likeness import METRICS, Wanted
from sketchprep.evaluation.metrics import Mean, interval
from sketchprep.evaluation.training import Trained
from sketchprep.evaluation.training import table as training_table

__all__ = ["OTHERS", "FaceReport", "cell", "figure", "plain", "reading", "spread"]

OTHERS = "another person's photo"
Compared = tuple[dict[str, float | None], np.ndarray]


@dataclass
class FaceReport:
    """What was measured.

    Attributes
    ----------
    out : Path
        Where the files lie.
    about : dict
        Model, bank, dataset and settings.
    trained : dict of tuple of str to Trained
        What the rows were trained with, see `sketchprep.evaluation.training.table`.
    notes : list of str
        What a reader must know.
    names : list of str
        The faces.
    figures : dict
        By title, a dict of figures for each face; see `sketchprep.evaluation.likeness.Judge.compare`.
    """

    out: Path
    about: dict[str, Any]
    trained: dict[tuple[str, ...], Trained]
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    figures: dict[str, list[dict[str, float | None]]] = field(default_factory=dict)
    _made: dict[str, list[np.ndarray]] = field(default_factory=dict, repr=False)
    _real: list[np.ndarray] = field(default_factory=list, repr=False)

    def add(self, name: str, wanted: Wanted, compared: Mapping[str, Compared]) -> None:
        """Take in one face: its photo, and what was drawn of it compared with that."""
        self.names.append(name)
        self._real.append(wanted.described)
        for title, one in compared.items():
            self._take(title, one)

    def add_other(self, compared: Compared) -> None:
        """Take in a stranger's photo compared with the photo of the face added last."""
        self._take(OTHERS, compared)

    def _take(self, title: str, compared: Compared) -> None:
        self.figures.setdefault(title, []).append(compared[0])
        self._made.setdefault(title, []).append(compared[1])

    @cached_property
    def means(self) -> dict[str, dict[str, Mean]]:
        """By title and figure, with intervals over the faces."""
        return {
            title: {key: spread([row[key] for row in rows]) for key in METRICS} for title, rows in self.figures.items()
        }

    @cached_property
    def kernel(self) -> dict[str, Estimate]:
        """Kernel distance of each set of faces to the photos."""
        return {title: kernel_distance(np.stack(made), np.stack(self._real)) for title, made in self._made.items()}

    @cached_property
    def frechet(self) -> dict[str, float | None]:
        """Fréchet distance of each set of faces to the photos; None where there are too few faces."""
        enough = len(self.names) > FEATURES
        return {
            title: frechet_distance(np.stack(made), np.stack(self._real)) if enough else None
            for title, made in self._made.items()
        }

    def values(self) -> dict[str, Any]:
        """All of it in plain values; the same for the same faces, weights and machine."""
        rows = [
            {"id": name, **{title: rows[at] for title, rows in self.figures.items()}}
            for at, name in enumerate(self.names)
        ]
        return {
            **self.about,
            "bandwidth": BANDWIDTH,
            "means": plain(self.means),
            "kernel": plain(self.kernel),
            "frechet": self.frechet,
            "notes": self.notes,
            "faces": rows,
        }

    def text(self) -> str:
        """The report in Markdown."""
        data = self.about["data"]
        lines = [f"# Sketch to face: {len(self.names)} faces of the split `{data['split']}`", ""]
        lines += [f"At {data['size']} px, {self.about['k']} neighbours; model sha256 {self.about['model']}.", ""]
        lines += [*self._table(), "", *_legend(), ""]
        lines += ["## What was trained", "", *training_table(self.trained), "", "## What these figures can show", ""]
        lines += [*(f"- {line}" for line in [*reading(len(self.names)), *self._floor()]), ""]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def _table(self) -> Iterator[str]:
        titles = [*METRICS.values(), "kernel × 1000", "Fréchet"]
        yield f"| | {' | '.join(titles)} |"
        yield "|---" * (len(titles) + 1) + "|"
        for title, means in self.means.items():
            frechet = self.frechet[title]
            cells = [cell(means[key], key) for key in METRICS]
            cells += [figure(self.kernel[title]), "–" if frechet is None else f"{frechet:.3f}"]
            yield f"| {title} | {' | '.join(cells)} |"

    def _floor(self) -> Iterator[str]:
        if OTHERS in self.figures:
            yield (
                f"The last row takes as many photos of other people for the results: its kernel distance is 0 but for "
                f"chance{_and_frechet(self.frechet[OTHERS])}; its identity distance is that of strangers. A result as "
                "far from its photo as that keeps nothing of the person that the descriptor sees."
            )


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


def spread(values: list[float | None]) -> Mean:
    """Mean with its interval over the pictures that have a value."""
    return interval([value for value in values if value is not None])


def cell(mean: Mean, key: str) -> str:
    """A mean and its interval for a table."""
    if not mean.count:
        return "–"
    scale, digits = {"found": (100, 0), "off": (100, 1)}.get(key, (1, 3))
    return f"{scale * mean.mean:.{digits}f} [{scale * mean.low:.{digits}f}, {scale * mean.high:.{digits}f}]"


def figure(found: Estimate) -> str:
    """A kernel distance and its interval for a table, times 1000."""
    if np.isnan(found.value):
        return "–"
    inside = "" if np.isnan(found.low) else f" [{1000 * found.low:.1f}, {1000 * found.high:.1f}]"
    return f"{1000 * found.value:.1f}{inside}"


def plain(values: Any) -> Any:
    """Dataclasses as dicts, NaN as None, for JSON."""
    if isinstance(values, Mean | Estimate):
        return plain(asdict(values))
    if isinstance(values, dict):
        return {key: plain(value) for key, value in values.items()}
    return None if isinstance(values, float) and np.isnan(values) else values
