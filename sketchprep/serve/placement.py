"""Detection of drawings that lie beside the frame, and their placement where the bank's parts match best.

The ink's box tells where a head is, but not whether a neck or high hair is part of it; the bank does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from sketchprep.models.deepfacedrawing.drawing.face_search import LINE_512, scale_of
from sketchprep.models.deepfacedrawing.drawing.frame_check import advice, distances, ink_fault
from sketchprep.models.deepfacedrawing.drawing.ink_placement import ink_matrix
from sketchprep.ops.face_parts import PARTS
from sketchprep.ops.ink import INK, broaden
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import warp

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.manifold import Projection
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["beside", "for_model", "in_place"]

THICKER = 1.25  # lines that became broader than this are drawn anew, fine ones
PEN = 3.0


def beside(synthesizer: Synthesizer, sketch: np.ndarray, codes: Tensor, projection: Projection | None) -> str:
    """Advice for a drawing that lies beside the frame, or nothing.

    Half of a drawing lies aside too: its parts, though, look like parts.  Where the bank knows how near those of
    held-out sketches are, one part must be farther from it than 19 in 20 of them.

    Parameters
    ----------
    synthesizer : Synthesizer
    sketch : ndarray of uint8, shape (size, size)
        With ink on it.
    codes : Tensor of float32, shape (1, 5, latent)
    projection : Projection or None

    Returns
    -------
    str
        See `sketchprep.models.deepfacedrawing.drawing.frame_check.advice`; empty if all is well.
    """
    fault = ink_fault(sketch)
    if fault and synthesizer.bank is not None and projection is not None and synthesizer.reference_distances:
        far = distances(synthesizer.bank, codes, projection)[0]
        if not any(far[at] > synthesizer.reference_distances[part][1] for at, part in enumerate(PARTS)):
            return ""
    return advice(fault, {}, remedy="") or ""


def in_place(synthesizer: Synthesizer, page: np.ndarray) -> np.ndarray:
    """Move, turn and scale a drawing so that it fills the frame as a face does, if it does not do so already.

    Parameters
    ----------
    synthesizer : Synthesizer
        Without a bank the ink's box goes where most heads are.
    page : ndarray of uint8, shape (512, 512)
        Black on white; with ink on it.

    Returns
    -------
    ndarray of uint8, shape (512, 512)
    """
    return _moved(page, ink_matrix(page, len(page), synthesizer))


def for_model(page: np.ndarray, size: int) -> np.ndarray:
    """A page in the model's frame, its lines as broad as they should be: uint8, shape (size, size)."""
    if (page < INK).any():
        page = broaden(page, LINE_512)
    return resize(page, (size, size))


def _moved(page: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    moved = warp(page, matrix, len(page), border="white")
    return _fine(moved) if scale_of(matrix) > THICKER else moved


def _fine(page: np.ndarray) -> np.ndarray:
    """Lines along the middles of those of a page."""
    from skimage.morphology import skeletonize

    line = skeletonize(page < INK)
    if not line.any():
        return page
    away = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5)
    return np.rint(255 * np.clip(away - (PEN - 1) / 2, 0, 1)).astype(np.uint8)
