"""Where a drawing's ink goes in the frame: of a few places, the one at which its parts lie nearest to the bank.

The ink's box tells where a head is, but not whether a neck or high hair is part of it; the bank does.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.ops.face_parts import PARTS
from sketchprep.ops.ink import broaden, ink_box
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import warp

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["LINE_512", "best_placement", "head_matrices", "ink_matrix"]

# Lines of the recipes' sketches are 3.5 to 4.5 px broad at 512; finer ones would turn pale in a small frame.
LINE_512 = 4.0
# Where the top and the bottom of the ink may go at 512 px, the likeliest first, and the most that it may be broad.
TOPS, BOTTOMS, BROAD = (20, 50, 80), (474, 440, 508), 500
LOOKED_AT = 512  # px of a page that is enough to compare places


def head_matrices(box: tuple[float, float, float, float], size: int) -> list[np.ndarray]:
    """Matrices (2, 3) that move a box (left, top, right, bottom) of ink to where heads are, the likeliest first."""
    x0, y0, x1, y1 = box
    found = []
    for top, bottom in product(TOPS, BOTTOMS):
        scale = min((bottom - top) / max(y1 - y0, 1.0), BROAD / max(x1 - x0, 1.0)) * size / 512
        found.append(
            np.array([[scale, 0, size / 2 - scale * (x0 + x1) / 2], [0, scale, bottom * size / 512 - scale * y1]])
        )
    return found


def best_placement(synthesizer: Synthesizer, sketches: np.ndarray) -> int:
    """Which of several sketches (B, size, size) of one drawing the bank's faces are nearest to.

    A drawing that is moved keeps its complexity, so plain distances tell more here than shares of them.
    """
    from sketchprep.models.deepfacedrawing.drawing.frame_check import distances
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import blank_parts

    assert synthesizer.bank is not None
    codes = synthesizer.encode(sketches)
    far = distances(synthesizer.bank, codes, synthesizer.project(codes, k=1))
    far /= [synthesizer.reference_distances[part][0] if synthesizer.reference_distances else 1.0 for part in PARTS]
    # A part that is drawn at one place and falls beside its window at another must not make that the better one.
    far[np.stack([blank_parts(sketch) for sketch in sketches])] = far.max()
    return int(np.argmin(far.mean(axis=1)))


def ink_matrix(page: np.ndarray, size: int, synthesizer: Synthesizer | None = None) -> np.ndarray:
    """Find where a drawing's ink goes.

    Parameters
    ----------
    page : ndarray of uint8, shape (H, W)
        Black on white; with ink on it.
    size : int
        Height and width of the frame in pixels.
    synthesizer : Synthesizer, optional
        Of this size.  Without one that has a bank the ink's box goes where most heads are.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        From the page's pixels to the frame's.
    """
    box = ink_box(page)
    matrices = head_matrices(box, size)
    if synthesizer is None or synthesizer.bank is None:
        return matrices[0]
    shrunk = min(1.0, LOOKED_AT / max(page.shape))
    height, width = (max(1, round(side * shrunk)) for side in page.shape)
    small = resize(page, (width, height)) if shrunk < 1 else page
    tried = []
    for matrix in matrices:
        there = matrix / [shrunk, shrunk, 1]
        ready = broaden(small, LINE_512 * size / 512 / there[0, 0])
        tried.append(warp(ready, there, size, border="white"))
    return matrices[best_placement(synthesizer, np.stack(tried))]
