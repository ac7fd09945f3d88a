"""Contact sheets of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sketchprep.evaluation.landmark_coverage import draw_coverage
from sketchprep.evaluation.line_metrics import ink
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.models.simplifier.evaluation.methods import METHODS, Methods
from sketchprep.models.simplifier.evaluation.sets import Face, Pair
from sketchprep.models.simplifier.evaluation.settings import Settings

__all__ = ["Rows", "judged_method", "worst_sheet"]

TILE = 320


class Rows:
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
