"""Where a drawing goes in the frame: where its eyes, nose and mouth are those of a face, if that is not where it lies.

The ink's box tells where a head is, but not whether a neck or high hair is part of it; the bank does.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.models.deepfacedrawing.drawing.face_search import FaceSearch, rescaled
from sketchprep.models.deepfacedrawing.drawing.frame_check import ink_fault
from sketchprep.ops.ink import ink_box
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import warp

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["head_matrices", "ink_matrix", "square_matrix"]

# Where the top and the bottom of the ink may go at 512 px, the likeliest first, and the most that it may be broad.
TOPS, BOTTOMS, BROAD = (20, 50, 80), (474, 440, 508), 500
LOOKED_AT = 512  # px of a page that is enough to compare places
# How much more like a face a drawing must be elsewhere to be moved.  Sketches in the frame gain up to 0.11 where the
# ink's box points and up to 0.22 at the best of all places; those that are 20 px of 512 off gain 0.27 and more.
CLEARLY, BEST_OF_ALL = 0.2, 0.05


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


def square_matrix(shape: tuple[int, ...], size: int) -> np.ndarray:
    """The matrix (2, 3) that makes a whole page the frame, with paper added to make it square."""
    height, width = shape[:2]
    side = max(height, width)
    scale = size / side
    shift = (scale - 1) / 2
    return np.array(
        [[scale, 0, shift + scale * ((side - width) // 2)], [0, scale, shift + scale * ((side - height) // 2)]]
    )


def ink_matrix(page: np.ndarray, size: int, synthesizer: Synthesizer | None = None) -> np.ndarray:
    """Find where a drawing goes: nowhere, unless it is clearly better elsewhere.

    Parameters
    ----------
    page : ndarray of uint8, shape (H, W)
        Black on white; with ink on it.
    size : int
        Height and width of the frame in pixels.
    synthesizer : Synthesizer, optional
        Without one that has a bank, ink that does not fill the page as a head does goes where most heads are.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        From the page's pixels to the frame's; a similarity.
    """
    unmoved = square_matrix(page.shape, size)
    if synthesizer is None or synthesizer.bank is None:
        faulty = ink_fault(warp(page, unmoved, size, border="white")) is not None
        return head_matrices(ink_box(page), size)[0] if faulty else unmoved
    shrunk = min(1.0, LOOKED_AT / max(page.shape))
    height, width = (max(1, round(side * shrunk)) for side in page.shape)
    small = resize(page, (width, height)) if shrunk < 1 else page
    moved = _searched(small, FaceSearch(synthesizer))
    if moved is None:
        return unmoved
    there = rescaled(moved, size / synthesizer.size)
    return np.column_stack([there[:, :2] * shrunk, there[:, 2] + there[:, :2].sum(axis=1) * (shrunk - 1) / 2])


def _searched(page: np.ndarray, search: FaceSearch) -> np.ndarray | None:
    """The matrix to the search's frame; None where the drawing stays as it lies."""
    unmoved = square_matrix(page.shape, search.size)
    places = [unmoved, *head_matrices(ink_box(page), search.size), search.find(page)]
    frames = [search.frame(page, matrix) for matrix in places]
    gains = search.likeness(frames)
    here, found = int(np.argmax(gains[:-1])), len(places) - 1
    # A drawing that cannot be a face where it lies goes where heads are, be it an outline without features.
    if ink_fault(frames[0]) is None and gains[here] <= gains[0] + CLEARLY:
        here = 0
    if gains[found] > gains[here] + CLEARLY + BEST_OF_ALL:
        here = found
    return search.settle(page, places[here]) if here else None
