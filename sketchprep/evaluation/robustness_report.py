"""The figures of a robustness evaluation: table in Markdown, JSON, and the panels of the plot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.evaluation.bootstrap import Mean
from sketchprep.evaluation.degrade import KINDS
from sketchprep.evaluation.distribution import BANDWIDTH
from sketchprep.evaluation.paired_metrics import METRICS
from sketchprep.evaluation.report import Measured, cell, figure, plain, table
from sketchprep.io.plots import Line, Panel
from sketchprep.training.cost import table as training_table

if TYPE_CHECKING:
    from sketchprep.evaluation.robustness import Settings
    from sketchprep.evaluation.subject import Subject

__all__ = ["Condition", "RobustnessReport"]

UNITS = {"jitter": "px", "drop": "share", "thicken": "px", "erase": "parts"}
RISES = ("identity", "perceptual")
SHOWN = {"kernel": "kernel × 1000", "identity": "identity", "perceptual": "perceptual", "found": "face found %"}
Condition = tuple[str, float]
"""Kind and amount of a degradation."""


@dataclass
class RobustnessReport:
    """What was measured.

    Attributes
    ----------
    out : Path
        Folder of its files.
    settings : Settings
    subject : Subject
    measured : Measured
        The figures by title and condition, (kind, amount) or ``("", 0)`` for the sketch as it is.
    """

    out: Path
    settings: Settings
    subject: Subject
    measured: Measured[tuple[str, Condition]] = field(init=False)

    def __post_init__(self) -> None:
        self.measured = Measured(resamples=self.settings.resamples, seed=self.settings.seed)

    @property
    def titles(self) -> list[str]:
        """The ways from sketch to face."""
        return [title for titles in self.subject.trained for title in titles]

    @property
    def own(self) -> tuple[str, ...]:
        """Those of the model under evaluation."""
        return next(iter(self.subject.trained))

    @property
    def others(self) -> list[str]:
        """Those it is compared with."""
        return self.titles[len(self.own) :]

    def at(self, title: str, kind: str, amount: float) -> tuple[str, Condition]:
        """Key of a title's figures for an amount of a kind of degradation; 0 is the sketch as it is."""
        return title, (kind, amount) if amount else ("", 0.0)

    def rise(self, title: str, kind: str, metric: str) -> Mean:
        """By how much a figure is worse on degraded sketches than on the same sketches as they are.

        For each face the mean over the amounts, so that faces are compared with themselves.
        """
        return self.measured.mean(self._rises_of(title, kind, metric))

    def against(self, title: str, other: str, kind: str, metric: str) -> Mean:
        """Rise of one way of drawing less that of another, face by face: below 0, the first one is hurt less."""
        ours, theirs = (self._rises_of(name, kind, metric) for name in (title, other))
        return self.measured.mean(ours - theirs)

    def degraded_kernel(self, title: str, kind: str) -> float | None:
        """Kernel distance on degraded sketches, mean over the amounts."""
        found = [self.measured.kernel[self.at(title, kind, amount)].value for amount in self.settings.amounts(kind)[1:]]
        return float(np.mean(found)) if found else None

    def _rises_of(self, title: str, kind: str, metric: str) -> np.ndarray:
        before = self.measured.column(self.at(title, kind, 0), metric)
        after = [self.measured.column(self.at(title, kind, a), metric) for a in self.settings.amounts(kind)[1:]]
        return np.mean(after, axis=0) - before if after else np.zeros(0)

    @cached_property
    def strangers(self) -> float:
        """Mean identity distance of each photo to the next person's."""
        real = self.measured.real
        return float(np.linalg.norm(real - np.roll(real, 1, axis=0), axis=1).mean())

    def values(self) -> dict[str, Any]:
        """All of it in plain values; the same for the same faces, weights and machine."""
        conditions = [
            {
                "title": title,
                "kind": kind or None,
                "amount": amount,
                "means": plain(self.measured.means[title, (kind, amount)]),
                "kernel": plain(self.measured.kernel[title, (kind, amount)]),
                "faces": rows,
            }
            for (title, (kind, amount)), rows in self.measured.figures.items()
        ]
        rises = {
            title: {kind: {metric: plain(self.rise(title, kind, metric)) for metric in RISES} for kind in KINDS}
            for title in self.titles
        }
        against = {
            f"{title} − {other}": {
                kind: {metric: plain(self.against(title, other, kind, metric)) for metric in RISES} for kind in KINDS
            }
            for other in self.others
            for title in self.own
        }
        return {
            **self.subject.about,
            "settings": self.settings.model_dump(mode="json"),
            "bandwidth": BANDWIDTH,
            "strangers": self.strangers,
            "rises": rises,
            "against": against,
            "notes": self.subject.notes,
            "ids": self.measured.names,
            "conditions": conditions,
        }

    def text(self) -> str:
        """The report in Markdown."""
        about, data = self.subject.about, self.subject.about["data"]
        lines = [f"# Robustness: {len(self.measured.names)} faces of the split `{data['split']}`", ""]
        lines += [f"At {data['size']} px, {self.subject.setup}; model sha256 {about['model']}.", ""]
        lines += [
            *self._rises(),
            "",
            *self._against(),
            "## What was trained",
            "",
            *training_table(self.subject.trained),
            "",
        ]
        lines += ["## All amounts", "", *self._table(), "", *self._legend(), ""]
        lines += [f"- {note}" for note in self.subject.notes]
        return "\n".join(lines).rstrip() + "\n"

    def _rises(self) -> Iterator[str]:
        yield "## How much worse degraded sketches make the faces"
        yield ""
        heads = [*(f"{METRICS[metric]}, rise" for metric in RISES), "kernel × 1000, mean over the amounts"]
        yield from table(["", "", *heads], (self._rise_row(k, title) for k in KINDS for title in self.titles))

    def _rise_row(self, kind: str, title: str) -> list[str]:
        level = self.degraded_kernel(title, kind)
        rises = [_signed(self.rise(title, kind, metric)) for metric in RISES]
        return [KINDS[kind], title, *rises, "–" if level is None else f"{1000 * level:.1f}"]

    def _against(self) -> Iterator[str]:
        if not self.others:
            return
        yield "## Rise less that of the baselines, face by face"
        yield ""
        heads = [f"{METRICS[metric]}: {title}" for metric in RISES for title in self.own]
        rows = (
            [KINDS[k], other, *(_signed(self.against(title, other, k, m)) for m in RISES for title in self.own)]
            for k in KINDS
            for other in self.others
        )
        yield from table(["", "less", *heads], rows)
        yield ""
        yield "Below 0: degraded sketches hurt the model's faces less than the baseline's."
        yield ""

    def _table(self) -> Iterator[str]:
        rows = (self._row(condition, title) for condition in self.settings.conditions() for title in self.titles)
        return table(["", "", *SHOWN.values()], rows)

    def _row(self, condition: Condition, title: str) -> list[str]:
        kind, amount = condition
        kernel, means = self.measured.kernel[title, condition], self.measured.means[title, condition]
        name = f"{KINDS[kind]}, {amount:g} {UNITS[kind]}" if kind else "as it is"
        return [name, title, *(figure(kernel) if m == "kernel" else cell(means[m], m) for m in SHOWN)]

    def _legend(self) -> Iterator[str]:
        yield (
            "Every figure but `face found` is the smaller the better. Kernel: squared maximum mean discrepancy of "
            f"dlib's face descriptors, Gaussian kernel of σ = {BANDWIDTH:g}. Identity: distance of the descriptors of "
            f"result and photo; photos of different people here are {self.strangers:.3f} apart. Perceptual: on the "
            "trunk that training may use as well. Pixels are at 512. Rise: a face's figure on degraded sketches, mean "
            "over the amounts, less its figure on the sketch as it is. In brackets: 95 % intervals over the faces, by "
            "bootstrap, for the kernel distance by jackknife."
        )
        yield ""
        yield (
            "A way of drawing that ignores the sketch would not rise at all: read the rise beside the figures on the "
            f"sketch as it is, and identity beside the distance of strangers. {len(self.measured.names)} faces show "
            "differences larger than the intervals, not rare faults; the intervals are over faces, not over trainings, "
            "and the damage is made by a program: people draw roughly in other ways."
        )

    def panels(self) -> list[list[Panel]]:
        """Rows of panels, a row a figure and a column a kind; the panels of a row share their scale."""
        return [[self._panel(metric, kind) for kind in KINDS] for metric in SHOWN]

    def _panel(self, metric: str, kind: str) -> Panel:
        amounts = self.settings.amounts(kind)
        lines: dict[str, Line] = {}
        for title in self.titles:
            keys = [self.at(title, kind, amount) for amount in amounts]
            if metric == "kernel":
                found = [(e.value, e.low, e.high) for e in (self.measured.kernel[key] for key in keys)]
            else:
                found = [(m.mean, m.low, m.high) for m in (self.measured.means[key][metric] for key in keys)]
            scale = {"kernel": 1000, "found": 100}.get(metric, 1)
            lines[title] = Line(
                np.array(amounts, float), *(scale * np.array(column) for column in zip(*found, strict=True))
            )
        level = self.strangers if metric == "identity" else None
        span = (0.0, 100.0) if metric == "found" else None
        return Panel(f"{SHOWN[metric]}: {KINDS[kind]}", UNITS[kind], lines, level, "strangers", span)


def _signed(mean: Mean) -> str:
    return f"{mean.mean:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}]" if mean.count else "–"
