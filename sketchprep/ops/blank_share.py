"""How much of a face was painted over, or lies outside the picture."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.ops.resize import resize

__all__ = ["blank_share"]

SIDE = 192  # of the square around the points, at which their surroundings are looked at
AROUND = 5  # pixels there
LEVELS = 2  # of 255 by which they may vary and still be blank; JPEG leaves no more in an area of one colour


def blank_share(image: np.ndarray, points: np.ndarray) -> float:
    """Share of points around which a picture has one flat colour, or which lie outside it.

    Skin always varies: it has grain, and light falls off over it.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
    points : ndarray, shape (N, 2)
        (x, y) in pixels.

    Returns
    -------
    float
        0 to 1; 1 without points.
    """
    height, width = image.shape[:2]
    inside = ((points >= -0.5) & (points < np.array([width, height]) - 0.5)).all(axis=1)
    if not inside.any():
        return 1.0
    seen = points[inside]
    left, top = np.floor(np.clip(seen.min(axis=0), 0, None)).astype(int)
    right, bottom = np.ceil(seen.max(axis=0)).astype(int) + 1
    patch = image[top:bottom, left:right]
    scale = SIDE / max(patch.shape[:2])
    if scale < 1:
        patch = resize(patch, (max(1, round(patch.shape[1] * scale)), max(1, round(patch.shape[0] * scale))))
    else:
        scale = 1.0
    kernel = np.ones((AROUND, AROUND), np.uint8)
    varies = cv2.dilate(patch, kernel).astype(np.int16) - cv2.erode(patch, kernel)
    flat = (varies if varies.ndim == 2 else varies.max(axis=2)) <= LEVELS
    x, y = np.floor((seen - (left, top) + 0.5) * scale).astype(int).T
    blank = flat[np.minimum(y, flat.shape[0] - 1), np.minimum(x, flat.shape[1] - 1)]
    return float(1 - (~blank).sum() / len(points))
