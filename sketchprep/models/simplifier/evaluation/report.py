"""The report of an evaluation: means, worst faces, Markdown, JSON, contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.evaluation.bootstrap import Mean, interval
from sketchprep.evaluation.landmark_coverage import PARTS, draw_coverage
from sketchprep.evaluation.line_metrics import ink
from sketchprep.evaluation.report import table
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.models.simplifier.evaluation.methods import METHODS, Methods
from sketchprep.models.simplifier.evaluation.sets import Face, Pair
from sketchprep.models.simplifier.evaluation.settings import Settings

__all__ = ["TEACHER", "Report", "SheetRows", "worst_sheet"]

TEACHER = "teacher"
TILE = 320
_METRICS = ("chamfer", "precision", "recall", "f", "specks", "ink")
_TITLES = {"drawings": "Rough drawings", "scenes": "Photocopies of painted scenes",
           "photocopies": "Photocopies of held-out portraits"}  # fmt: skip
_REGIONS = {"all": "", "face": ", the face", "rest": ", the rest"}


@dataclass
class Report:
    """What was measured.

    Attributes
    ----------
    out : Path
        Where the files lie.
    settings : Settings
    network : dict
        Sha256 of the weights, device, dtype.
    pairs, faces : list of dict
        Figures of each picture, see `sketchprep.models.simplifier.evaluation.evaluate`.
    notes : list of str
        What was left out.
    """

    out: Path
    settings: Settings
    network: dict[str, str]
    pairs: list[dict[str, Any]] = field(default_factory=list)
    faces: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def means(self) -> dict[str, dict[str, dict[str, dict[str, Mean]]]]:
        """Means by set, region, method and metric, each with its interval."""
        result: dict[str, dict[str, dict[str, dict[str, Mean]]]] = {}
        for kind in dict.fromkeys(row["set"] for row in self.pairs):
            rows = [row for row in self.pairs if row["set"] == kind]
            groups = [row["group"] for row in rows]
            result[kind] = {
                region: {
                    method: {
                        metric: self._mean([row["methods"][method][region][metric] for row in rows], groups)
                        for metric in figures[region]
                    }
                    for method, figures in rows[0]["methods"].items()
                }
                for region in rows[0]["methods"][TEACHER]
            }
        return result

    def _mean(self, values: list[float], groups: list[str] | None = None) -> Mean:
        return interval(values, groups, resamples=self.settings.resamples, seed=self.settings.seed)

    @cached_property
    def parts(self) -> dict[str, dict[str, dict[str, Mean]]]:
        """By set and method: the share of faces that have each part, or ``all`` judged ones; and the ``ink``."""
        result: dict[str, dict[str, dict[str, Mean]]] = {}
        for kind in dict.fromkeys(row["set"] for row in self.faces):
            rows = [row for row in self.faces if row["set"] == kind]
            result[kind] = {}
            for method in rows[0]["methods"]:
                shares = [row["methods"][method] for row in rows]
                figures = {
                    part: self._mean([self._has(f, part) for f in shares if f[part] is not None]) for part in PARTS
                }
                figures["all"] = self._mean(
                    [float(all(self._has(f, p) for p in self.settings.faces.judged)) for f in shares]
                )
                figures["ink"] = self._mean([f["ink"] for f in shares])
                result[kind][method] = figures
        return result

    def _has(self, figures: dict[str, float | None], part: str) -> float:
        share = figures[part]
        return float(share is None or share >= self.settings.faces.share)

    @property
    def judged(self) -> str:
        """The method whose worst faces are listed."""
        return judged_method(self.settings.methods)

    def worst(self) -> list[dict[str, Any]]:
        """The faces with the least covered judged part, the worst first."""

        def key(row: dict[str, Any]) -> tuple[float, float, str, str]:
            figures = row["methods"][self.judged]
            shares = [figures[part] for part in self.settings.faces.judged if figures[part] is not None] or [1.0]
            return min(shares), sum(shares) / len(shares), row["set"], row["name"]

        return sorted(self.faces, key=key)[: self.settings.faces.worst]

    def values(self) -> dict[str, Any]:
        """All of it in plain values; the same for the same pictures, weights and machine."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "network": self.network,
            "means": _plain(self.means),
            "parts": _plain(self.parts),
            "worst": [{"set": row["set"], "name": row["name"]} for row in self.worst()],
            "notes": self.notes,
            "pairs": self.pairs,
            "faces": self.faces,
        }

    def text(self) -> str:
        """The report in Markdown."""
        lines = ["# Sketch simplifier: held-out pictures", "", *self._how(), ""]
        for kind, regions in self.means.items():
            for region, methods in regions.items():
                count = next(iter(methods.values()))["ink"].count
                lines += [f"## {_TITLES[kind]} ({count}){_REGIONS[region]}", ""]
                lines += [f"Not judged: {self._hidden(kind, region):.1%} of the wanted ink.", ""]
                lines += [*self._agreement(methods), ""]
        for kind, methods in self.parts.items():
            count = next(iter(methods.values()))["ink"].count
            lines += [f"## Parts of faces: {kind} ({count})", "", *self._parts(methods), ""]
        lines += [*self._worst(), *(f"- {note}" for note in self.notes)]
        return "\n".join(lines).rstrip() + "\n"

    def _how(self) -> Iterator[str]:
        s = self.settings
        yield (
            f"A pixel is ink from {s.level:.0%} black on, for every method. Precision and recall at {s.tolerance:g} "
            "px; chamfer: mean of both directions, in pixels; specks: pieces of fewer than "
            f"{s.specks_below} pixels in a picture. In brackets: 95 % bootstrap intervals of the means over pictures "
            "(over people for photocopies). Not judged: wanted lines, and 6 px around them, where the picture is blank "
            "paper or solid ink for 3 px around, so that nobody could draw them from it."
        )
        if self.network:
            yield ""
            yield f"Weights: sha256 {self.network['sha256']}, {self.network['dtype']} on {self.network['device']}."

    def _hidden(self, kind: str, region: str) -> float:
        """Mean share of the wanted ink that the pictures do not show."""
        shares = [row["hidden"][region] for row in self.pairs if row["set"] == kind]
        return sum(shares) / max(1, len(shares))

    def _agreement(self, methods: dict[str, dict[str, Mean]]) -> Iterator[str]:
        rows = (
            [METHODS.get(method, method), *(_cell(means.get(metric), metric) for metric in _METRICS)]
            for method, means in methods.items()
        )
        return table(["", "chamfer", "precision", "recall", "F", "specks", "ink %"], rows)

    def _parts(self, methods: dict[str, dict[str, Mean]]) -> Iterator[str]:
        faces = self.settings.faces
        yield (
            f"Per cent of the faces whose part is there: ink within {faces.reach:g} px (at 512) of {faces.share:.0%} "
            f"of its landmark polyline (nose: ridge and base; jaw inner: without the ends by the ears). "
            f"All: {', '.join(part.replace('_', ' ') for part in faces.judged)} together."
        )
        yield ""
        rows = (
            [METHODS.get(m, m), *(_percent(means[part]) for part in (*PARTS, "all")), _cell(means["ink"], "ink")]
            for m, means in methods.items()
        )
        yield from table(["", *(part.replace("_", " ") for part in PARTS), "all", "ink %"], rows)

    def _worst(self) -> Iterator[str]:
        if not (rows := self.worst()):
            return
        judged = self.settings.faces.judged
        yield f"## The worst {len(rows)} faces: {METHODS[self.judged]} (see worst.jpg)"
        yield ""
        shares = ([row["methods"][self.judged][part] for part in judged] for row in rows)
        cells = (
            [row["set"], row["name"], f"{row['yaw']:+.0f}°", *("–" if s is None else f"{s:.2f}" for s in own)]
            for row, own in zip(rows, shares, strict=True)
        )
        yield from table(["set", "face", "yaw", *(part.replace("_", " ") for part in judged)], cells)
        yield ""


def _cell(mean: Mean | None, metric: str) -> str:
    if mean is None:
        return ""
    scale, digits = {"ink": (100, 1), "specks": (1, 0), "chamfer": (1, 2)}.get(metric, (1, 3))
    text = f"{scale * mean.mean:.{digits}f} [{scale * mean.low:.{digits}f}, {scale * mean.high:.{digits}f}]"
    # A drawing left blank is a whole diagonal off, and a few of them make the mean.
    return f"{text}, median {mean.median:.2f}" if metric == "chamfer" else text


def _percent(mean: Mean) -> str:
    return f"{100 * mean.mean:.0f}" if mean.count else "–"


def _plain(values: Any) -> Any:
    if isinstance(values, Mean):
        return asdict(values) if values.count else None
    return {key: _plain(value) for key, value in values.items()}


class SheetRows:
    """Collects the pictures of the contact sheet: portraits, drawings and scenes, spread over their sets."""

    def __init__(self, settings: Settings, totals: Mapping[str, int]) -> None:
        self._methods = [name for name in settings.methods if name != "raw"]
        few = -(-settings.sheet // 2)
        counts = {"photocopies": settings.sheet, "drawings": few, "scenes": few}
        self._wanted = {kind: {i * totals.get(kind, 0) // n for i in range(n)} for kind, n in counts.items()}
        self._seen: dict[str, int] = dict.fromkeys(counts, 0)
        self._rows: dict[str, list[list[np.ndarray]]] = {kind: [] for kind in counts}

    def add(self, pair: Pair, drawn: Mapping[str, np.ndarray]) -> None:
        """Keep a pair's pictures if the sheet shows it."""
        number = self._seen[pair.kind]
        self._seen[pair.kind] += 1
        if number in self._wanted[pair.kind]:
            photo = np.full_like(pair.rough, 235) if pair.photo is None else pair.photo
            self._rows[pair.kind].append([photo, pair.rough, *(drawn[m] for m in self._methods), pair.clean])

    def sheet(self) -> np.ndarray:
        """Photo, photocopy or rough drawing, each method, and what is wanted; (H, W, 3) uint8."""
        captions = ["photo", "photocopy / rough", *(METHODS[m] for m in self._methods), "teacher / target"]
        return contact_sheet([row for rows in self._rows.values() for row in rows], captions, tile=TILE)


def judged_method(names: Sequence[str]) -> str:
    """The method whose worst faces are shown: the simplifier, else the classical clean-up, else the last one."""
    return next((name for name in ("ours", "ours-tidy", "clean") if name in names), names[-1])


def worst_sheet(faces: Sequence[Face], methods: Methods, settings: Settings) -> np.ndarray:
    """Photo with landmark lines, photocopy, drawing, and the drawing with them: green covered, red bare."""
    from sketchprep.ops.photocopy import photocopy

    method = judged_method(methods.names)
    rows = []
    for face in faces:
        photo, landmarks = face.read()
        rough = photocopy(photo)
        drawn = methods(rough, landmarks)[method]
        mask = ink(drawn, level=settings.level)
        lines = [
            draw_coverage(image, mask, landmarks, settings.faces.judged, reach=settings.faces.reach)
            for image in (photo, drawn)
        ]
        rows.append([photo, lines[0], rough, drawn, lines[1]])
    captions = ["photo", "landmarks: covered, bare", "photocopy", METHODS[method], "covered, bare"]
    return contact_sheet(rows, captions, tile=TILE)
