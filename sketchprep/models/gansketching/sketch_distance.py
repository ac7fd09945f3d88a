"""Distance between line drawings: how far the lines of one are from those of the other."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.ops.ink import INK

__all__ = ["chamfer", "nearest"]


def chamfer(one: np.ndarray, other: np.ndarray) -> float:
    """Symmetric chamfer distance: mean distance of each drawing's ink to the nearest ink of the other, averaged.

    Parameters
    ----------
    one, other : ndarray of uint8, shape (S, S)
        Black on white.

    Returns
    -------
    float
        Percent of the side; 100 where only one of them has ink.
    """
    inks = [drawing < INK for drawing in (one, other)]
    if not inks[0].any() or not inks[1].any():
        return 0.0 if inks[0].any() == inks[1].any() else 100.0
    away = [cv2.distanceTransform((~ink).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for ink in inks]
    means = [float(away[1 - at][inks[at]].mean()) for at in (0, 1)]
    return 100 * sum(means) / 2 / one.shape[0]


def nearest(drawing: np.ndarray, sketches: np.ndarray) -> float:
    """Chamfer distance of a drawing to the nearest of some sketches, (N, S, S)."""
    return min(chamfer(drawing, sketch) for sketch in sketches)
