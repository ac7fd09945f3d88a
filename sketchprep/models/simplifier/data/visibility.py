"""Mask of clean lines that the rough picture does not show."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["hidden"]

_RELIEF, _NEAR, _AROUND = 10.0, 7, 13


def hidden(rough: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Surroundings of those wanted lines of which the rough picture shows nothing at all.

    Parameters
    ----------
    rough, clean : ndarray, (H, W) uint8
        Black ink on white.

    Returns
    -------
    ndarray, (H, W) bool
        Pixels within 6 px of such a line, except within 2 px of a line of which something is seen.

    Notes
    -----
    A line counts as seen where the rough picture, blurred by a pixel, varies within 3 px by at least 10 of 255 levels:
    paper grain alone is often enough, so that this says "nothing" only of blank paper and of solid ink.
    """
    soft = cv2.GaussianBlur(rough, (0, 0), 1.0)
    relief = cv2.morphologyEx(soft, cv2.MORPH_GRADIENT, _disc(_NEAR))
    ink = clean < 128
    blank = ink & (relief < _RELIEF)
    if not blank.any():
        return np.zeros(ink.shape, bool)
    seen = cv2.dilate((ink & ~blank).astype(np.uint8), _disc(5)) > 0
    return (cv2.dilate(blank.astype(np.uint8), _disc(_AROUND)) > 0) & ~seen


def _disc(side: int) -> np.ndarray:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
