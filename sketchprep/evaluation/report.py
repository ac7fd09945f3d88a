"""Figures of generated faces gathered face by face, and the one writer of reports: Markdown, JSON, contact sheet."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from sketchprep.evaluation.bootstrap import Mean, interval
from sketchprep.evaluation.distribution import BANDWIDTH, Estimate, frechet_distance, kernel_distance
from sketchprep.evaluation.paired_metrics import METRICS
from sketchprep.io import files
from sketchprep.io.contact_sheet import save_picture

__all__ = ["TILE", "Compared", "Measured", "Report", "cell", "figure", "plain", "table", "write"]

TILE = 192
"""Side of a picture in a contact sheet."""

Compared = tuple[Mapping[str, float | None], np.ndarray]
Key = TypeVar("Key", bound=Hashable)


class Report(Protocol):
    """What an evaluation measured."""

    @property
    def out(self) -> Path:
        """Folder of its files."""

    def text(self) -> str:
        """All of it in Markdown."""

    def values(self) -> dict[str, Any]:
        """All of it as JSON values; the same for the same pictures, weights and machine."""


def write(report: Report, sheet: np.ndarray | None = None) -> None:
    """Write ``table.md``, ``metrics.json`` and the contact sheet ``sheet.jpg`` into a report's folder."""
    files.write(report.text().encode(), report.out / "table.md")
    files.write((json.dumps(report.values(), indent=1) + "\n").encode(), report.out / "metrics.json")
    if sheet is not None:
        save_picture(sheet, report.out / "sheet.jpg")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield _row(heads)
    yield "|---" * len(heads) + "|"
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


class Measured(Generic[Key]):
    """Sets of faces drawn of the same photos, a set for each key.

    Parameters
    ----------
    resamples, seed : int
        Of the bootstrap.
    bandwidth : float or None
        See `sketchprep.evaluation.distribution.kernel_distance`.

    Attributes
    ----------
    names : list of str
        The faces.
    figures : dict
        By key, a dict of figures for each face; see `sketchprep.evaluation.paired_metrics.PairedMetrics.compare`.
    """

    def __init__(self, *, resamples: int = 2000, seed: int = 0, bandwidth: float | None = BANDWIDTH) -> None:
        self.names: list[str] = []
        self.figures: dict[Key, list[Mapping[str, float | None]]] = {}
        self._made: dict[Key, list[np.ndarray]] = {}
        self._real: list[np.ndarray] = []
        self._resamples, self._seed, self._bandwidth = resamples, seed, bandwidth

    def photo(self, name: str, described: np.ndarray) -> None:
        """Take in a face's photo by its features."""
        self.names.append(name)
        self._real.append(described)

    def add(self, key: Key, compared: Compared) -> None:
        """Take in a drawn face compared with its photo, in the order of the photos."""
        self.figures.setdefault(key, []).append(compared[0])
        self._made.setdefault(key, []).append(compared[1])

    @cached_property
    def means(self) -> dict[Key, dict[str, Mean]]:
        """By key and figure, with intervals over the faces that have one."""
        return {
            key: {metric: self.mean(row[metric] for row in rows) for metric in METRICS}
            for key, rows in self.figures.items()
        }

    @cached_property
    def kernel(self) -> dict[Key, Estimate]:
        """Kernel distance of each set of faces to the photos."""
        return {key: kernel_distance(self.made(key), self.real, bandwidth=self._bandwidth) for key in self._made}

    @cached_property
    def real(self) -> np.ndarray:
        """Features of the photos, (N, D)."""
        return np.stack(self._real)

    @cached_property
    def frechet(self) -> dict[Key, float | None]:
        """Fréchet distance of each set of faces to the photos; None where there are no more faces than features."""
        enough = len(self.names) > self.real.shape[1]
        return {key: frechet_distance(self.made(key), self.real) if enough else None for key in self._made}

    def made(self, key: Key) -> np.ndarray:
        """Features of a set of faces, (N, D)."""
        return np.stack(self._made[key])

    def column(self, key: Key, metric: str) -> np.ndarray:
        """One figure of all faces of a set, NaN where there is none."""
        return np.array([row[metric] for row in self.figures[key]], np.float64)

    def mean(self, values: Iterable[float | None]) -> Mean:
        """Mean and interval of the values that are there."""
        return interval([v for v in values if v is not None], resamples=self._resamples, seed=self._seed)


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
