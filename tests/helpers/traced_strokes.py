"""Drawings as someone would draw them: strokes of a pen along the lines of a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

__all__ = ["sketches", "trace"]

SKETCHES = Path(__file__).resolve().parents[2] / "sketchprep" / "data" / "sketches"
AROUND = [(-1, 0), (0, 1), (1, 0), (0, -1), (-1, -1), (-1, 1), (1, 1), (1, -1)]  # straight on before round the corner


def sketches() -> list[Path]:
    """The bundled freehand drawings."""
    return sorted(SKETCHES.glob("*.png"))


def trace(path: Path, *, shortest: int = 8, longest: int = 10_000, apart: int = 4) -> list[np.ndarray]:
    """Strokes along the lines of a black-on-white picture, from top to bottom.

    Parameters
    ----------
    path : Path
    shortest, longest : int
        Pixels of a stroke; shorter ones are left out, longer ones are cut.
    apart : int
        Pixels between its points.

    Returns
    -------
    list of ndarray of float64, shape (N, 2)
        (x, y) in pixels.
    """
    from skimage.morphology import skeletonize

    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    left = np.pad(skeletonize(grey < 128), 1)
    strokes = []
    while len(found := _walk(left)):
        for start in range(0, len(found), longest):
            part = found[start : start + longest + apart]
            if len(part) >= shortest:
                strokes.append(np.concatenate([part[:-1:apart], part[-1:]]) - 1.0)
    return strokes


def _walk(left: np.ndarray) -> np.ndarray:
    """Take one line away: from an end if there is one, else from anywhere; (x, y) of its pixels."""
    rows, columns = np.nonzero(left)
    if not len(rows):
        return np.empty((0, 2))
    neighbours = cv2.filter2D(left.astype(np.uint8), -1, np.ones((3, 3), np.uint8))[rows, columns] - 1
    first = int(np.argmax(neighbours <= 1)) if (neighbours <= 1).any() else 0
    at: tuple[int, int] | None = (int(rows[first]), int(columns[first]))
    line, heading = [], (0, 0)
    while at is not None:
        left[at] = False
        line.append(at)
        y, x = at
        steps = [step for step in AROUND if left[y + step[0], x + step[1]]]
        turns = [step[0] * heading[0] + step[1] * heading[1] for step in steps]
        at = None
        if steps:
            heading = steps[int(np.argmax(turns))]
            at = (y + heading[0], x + heading[1])
    return np.array(line, np.float64)[:, ::-1]
