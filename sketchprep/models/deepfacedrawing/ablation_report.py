"""Report of the ablations: one table, JSON, and how far the figures carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.evaluation.bootstrap import Mean
from sketchprep.evaluation.distribution import BANDWIDTH, Estimate
from sketchprep.evaluation.paired_metrics import METRICS
from sketchprep.evaluation.report import cell, figure, table
from sketchprep.models.deepfacedrawing.evaluate import Way
from sketchprep.models.deepfacedrawing.training.settings import Settings as Network

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.ablation import Settings, Variant

__all__ = ["BASE", "CLEAN", "ROUGH", "WITH", "WITHOUT", "AblationReport"]

BASE = "base"
WITH, WITHOUT = 0.0, 1.0
CLEAN, ROUGH = "as it is", "rough"
SHOWN = ("perceptual", "identity", "l1", "found", "off")
QUESTIONS = {"latent": "numbers in a code", "fm_channels": "channels of a feature map"}


@dataclass
class AblationReport:
    """What was measured.

    Attributes
    ----------
    out : Path
        Where the files lie.
    settings : Settings
    base : Network
        Settings of the base.
    about : dict
        The pairs and the preset.
    variants : list of Variant
        The base first.
    results : dict of str to dict
        By variant: ``trained``, ``explained``, and ``rows`` of figures for each way of drawing and kind of sketch.
    """

    out: Path
    settings: Settings
    base: Network
    about: dict[str, Any]
    variants: list[Variant]
    results: dict[str, dict[str, Any]]

    def values(self) -> dict[str, Any]:
        """All of it in plain values; the same for the same weights, faces and machine."""
        kept = ("trained", "explained", "rows")
        return {**self.about, "variants": {n: {key: found[key] for key in kept} for n, found in self.results.items()}}

    def row(self, variant: str, way: Way, sketches: str) -> dict[str, Any]:
        """The figures of a variant drawn in one way from one kind of sketches."""
        rows = self.results[variant]["rows"]
        return next(row for row in rows if (row["wb"], row["k"], row["sketches"]) == (*way, sketches))

    def text(self) -> str:
        """The report in Markdown."""
        data = self.about["data"]
        lines = [
            f"# Ablations: preset `{self.settings.preset}`, {data['pairs']} faces of the split `{data['split']}`",
            "",
        ]
        lines += [*self._table(), "", *self._legend(), "", "## What was trained", "", *self._trained(), ""]
        return "\n".join(lines).rstrip() + "\n"

    def _table(self) -> Iterator[str]:
        heads = ["question", "", "projection", "sketches", *(METRICS[key] for key in SHOWN), "kernel × 1000"]
        return table(heads, self._rows())

    def _rows(self) -> Iterator[list[str]]:
        settings, both = self.settings, ((WITH, self.settings.k), (WITHOUT, self.settings.k))
        for key, question in QUESTIONS.items():
            own = getattr(self.base, key)
            for value in sorted({own, *getattr(settings, key)}):
                variant = BASE if value == own else f"{key}-{value}"
                yield from self._row_pairs(question, f"{value}{' (base)' * (value == own)}", variant, both)
        for k in sorted({settings.k, *settings.neighbours}):
            yield from self._row_pairs("neighbours K", f"{k}{' (base)' * (k == settings.k)}", BASE, [(WITH, k)])
        for way, name in zip(both, ("with (base)", "without"), strict=True):
            yield from self._row_pairs("projection", name, BASE, [way])

    def _row_pairs(self, question: str, value: str, variant: str, ways: Iterable[Way]) -> Iterator[list[str]]:
        """A row from the sketches as they are and one from rough ones, for each way of drawing."""
        for way in ways:
            for sketches in (CLEAN, ROUGH):
                row = self.row(variant, way, sketches)
                cells = [cell(_filled(Mean, row["means"][key]), key) for key in SHOWN]
                projection = f"K = {way[1]}" if way[0] == WITH else "–"
                yield [question, value, projection, sketches, *cells, figure(_filled(Estimate, row["kernel"]))]

    def _legend(self) -> Iterator[str]:
        damage = ", ".join(f"{kind} {amount:g}" for kind, amount in self.settings.rough.items())
        yield (
            "Every row differs from the base in one thing. With projection the faces follow the bank alone (wb = 0), "
            f"without it the drawing alone (wb = 1). Rough: {damage or 'as it is'}, as in the robustness evaluation. "
            "Every figure but `face found` is the smaller the better. Kernel: squared maximum mean discrepancy of "
            f"dlib's face descriptors, Gaussian kernel of σ = {BANDWIDTH:g}. In brackets: 95 % intervals over faces."
        )
        yield ""
        yield (
            "One training stands for each variant, with one seed and a short budget: differences that are not larger "
            "than the intervals say nothing, and larger ones may still be this seed's, or vanish in a longer training."
        )

    def _trained(self) -> Iterator[str]:
        parts = list(next(iter(self.results.values()))["explained"] or {})
        heads = ["parameters", "images", "hours", *(f"explained: {part.replace('_', ' ')}" for part in parts)]
        yield from table(["", *heads], (self._training(variant, parts) for variant in self.variants))
        yield ""
        yield "Explained: share of the variance of held-out sketches that a part's code holds."

    def _training(self, variant: Variant, parts: Sequence[str]) -> list[str]:
        found = self.results[variant.name]
        one, shares = found["trained"], found["explained"] or {}
        spent = one["hours"] if variant.own_codes else one["second_hours"]
        hours = "–" if spent is None else f"{spent:.2f}{'' if variant.own_codes else ' on stage 1 of the base'}"
        explained = ["–" if shares.get(part) is None else f"{shares[part]:.0%}" for part in parts]
        return [variant.name, f"{one['parameters'] / 1e6:.1f} M", f"{one['images'] or 0:,}", hours, *explained]


def _filled(kind: type, values: dict[str, Any]) -> Any:
    """A dataclass of numbers from JSON, where None stands for NaN."""
    return kind(**{key: np.nan if value is None else value for key, value in values.items()})
