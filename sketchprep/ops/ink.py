"""Ink of a drawing: bounding box, stroke width, contrast."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["INK", "broaden", "darkened", "ink_box", "line_width"]

INK = 200  # darker than this is ink
PAPER, WHITE = 231, 242  # lighter than the first is paper, than the second white
GRAIN = 8  # by which paper varies around its median
BLACK, PAPERWHITE = 64, 250  # ink as dark and paper as light as this stay as they are


def ink_box(page: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a drawing's ink, specks and stray strokes left out.

    Parameters
    ----------
    page : ndarray of uint8, shape (H, W)
        Black on white, with some ink.
    """
    ink = page < INK
    spans = []
    for axis in (0, 1):
        share = np.cumsum(ink.sum(axis=axis, dtype=np.float64))
        share /= share[-1]
        spans.append((int(np.searchsorted(share, 0.004)), int(np.searchsorted(share, 0.996))))
    (x0, x1), (y0, y1) = spans
    return float(x0), float(y0), float(x1), float(y1)


def broaden(page: np.ndarray, width: float) -> np.ndarray:
    """Make lines at least about `width` pixels broad; broader ones stay as they are.

    Parameters
    ----------
    page : ndarray of uint8, shape (H, W)
        Black on white.
    width : float
        Pixels.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The page itself if its lines are broad enough.
    """
    current = line_width(page)
    missing = round(width - current) if current else 0
    if missing < 1:
        return page
    side = min(missing, 64) + 1
    return cv2.erode(page, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def line_width(page: np.ndarray) -> float:
    """Mean breadth of the lines in pixels: the darkness of the ink by the length of the lines; 0 without ink.

    Parameters
    ----------
    page : ndarray of uint8, shape (H, W)
        Black on white.
    """
    ink = (page < INK).view(np.uint8)
    outlines, _ = cv2.findContours(ink, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(outline, True) for outline in outlines) / 2
    if length == 0:
        return 0.0
    return float((255 - page[ink > 0].astype(np.float32)).sum(dtype=np.float64)) / 255 / length


def darkened(page: np.ndarray) -> np.ndarray:
    """Make pale ink black and greyish paper white.

    The ink's darker tenth becomes 0 if it is not nearly so already; the page's median and its grain become 255.

    Parameters
    ----------
    page : ndarray of uint8, shape (H, W)
        Black on white.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The page itself where there is nothing to do.
    """
    paper = float(np.median(page))
    white = min(WHITE, paper - GRAIN)
    ink = page[page < min(PAPER, white - GRAIN)]
    if not ink.size or paper < INK:
        return page
    darkest = float(np.percentile(ink, 10))
    if darkest < BLACK and paper >= PAPERWHITE:
        return page
    darkest = darkest if darkest >= BLACK else 0.0
    levels = 255 * (np.arange(256) - darkest) / (white - darkest)
    return cv2.LUT(page, np.clip(levels, 0, 255).round().astype(np.uint8))
