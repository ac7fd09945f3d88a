"""Drawings beside the frame: whether one is, and moved to that of a few places at which its parts look most familiar.

The ink's box tells where a head is, but not whether a neck or high hair is part of it; the bank does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from sketchprep import imageio
from sketchprep.draw import blank_parts
from sketchprep.framecheck import advice, distances, ink_fault
from sketchprep.ops.components import PARTS
from sketchprep.ops.ink import INK, broaden, ink_box
from sketchprep.ops.warp import warp

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.draw import Artist
    from sketchprep.manifold import Projection

__all__ = ["LINE", "beside", "for_model", "in_place"]

# Lines as broad as those the models are trained on; a fine pen would turn pale in a small frame.
LINE = 4.0
# Where the top and the bottom of the ink may go, at 512 px, and the most that it may be broad.
TOPS, BOTTOMS, BROAD = (20, 50, 80), (440, 474, 508), 500
THICKER = 1.25  # lines that became broader than this are drawn anew, fine ones
PEN = 3.0


def beside(artist: Artist, sketch: np.ndarray, codes: Tensor, projection: Projection | None) -> str:
    """Say that a drawing lies beside the frame, or nothing.

    Half of a drawing lies aside too: its parts, though, look like parts.  Where the bank knows how near those of
    held-out sketches are, one part must be farther from it than 19 in 20 of them.

    Parameters
    ----------
    artist : Artist
    sketch : ndarray of uint8, shape (size, size)
        With ink on it.
    codes : Tensor of float32, shape (1, 5, latent)
    projection : Projection or None

    Returns
    -------
    str
        See `sketchprep.framecheck.advice`; empty if all is well.
    """
    fault = ink_fault(sketch)
    if fault and artist.bank is not None and projection is not None and artist.usual:
        far = distances(artist.bank, codes, projection)[0]
        if not any(far[at] > artist.usual[part][1] for at, part in enumerate(PARTS)):
            return ""
    return advice(fault, {}, remedy="") or ""


def in_place(artist: Artist, page: np.ndarray) -> np.ndarray:
    """Move and scale a drawing so that it fills the frame as a face does.

    Parameters
    ----------
    artist : Artist
        Without a bank the ink's box goes where most heads are.
    page : ndarray of uint8, shape (512, 512)
        Black on white; with ink on it.

    Returns
    -------
    ndarray of uint8, shape (512, 512)
    """
    box = ink_box(page)
    bank = artist.bank
    tops, bottoms = (TOPS, BOTTOMS) if bank is not None else (TOPS[:1], BOTTOMS[1:2])
    tried = [_moved(page, box, top, bottom) for top in tops for bottom in bottoms]
    if bank is None:
        return tried[0]
    sketches = np.stack([for_model(one, artist.size) for one in tried])
    codes = artist.encode(sketches)
    far = distances(bank, codes, artist.project(codes))
    far /= [artist.usual[part][0] if artist.usual else 1.0 for part in PARTS]
    blank = np.stack([blank_parts(sketch) for sketch in sketches])
    # A part that is drawn at one place and falls beside its window at another must not make that the better one.
    far[blank] = far.max()
    return tried[int(np.argmin(far.mean(axis=1)))]


def for_model(page: np.ndarray, size: int) -> np.ndarray:
    """A page in the model's frame, its lines as broad as they should be: uint8, shape (size, size)."""
    if (page < INK).any():
        page = broaden(page, LINE)
    return imageio.resize(page, (size, size))


def _moved(page: np.ndarray, box: tuple[float, float, float, float], top: int, bottom: int) -> np.ndarray:
    x0, y0, x1, y1 = box
    scale = min((bottom - top) / max(y1 - y0, 1.0), BROAD / max(x1 - x0, 1.0))
    middle = len(page) / 2
    matrix = np.array([[scale, 0, middle - scale * (x0 + x1) / 2], [0, scale, bottom - scale * y1]])
    moved = warp(page, matrix, len(page), border="white")
    return _fine(moved) if scale > THICKER else moved


def _fine(page: np.ndarray) -> np.ndarray:
    """Lines along the middles of those of a page."""
    from skimage.morphology import skeletonize

    line = skeletonize(page < INK)
    if not line.any():
        return page
    away = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5)
    return np.rint(255 * np.clip(away - (PEN - 1) / 2, 0, 1)).astype(np.uint8)
