"""The guided filter: smooth a map, but keep the edges of a picture (He, Sun and Tang, TPAMI 2013)."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops._validation import Range, checked

__all__ = ["guided_filter"]


@checked
def guided_filter(
    values: np.ndarray,
    guide: np.ndarray,
    *,
    radius: Annotated[int, Range(1, 1000)] = 8,
    epsilon: Annotated[float, Range(1e-8, 1)] = 1e-4,
) -> np.ndarray:
    """Refine a map along the edges of a grey picture.

    In each window the map is a linear function of the picture (equation 4); windows are boxes, so the time does not
    depend on the radius.

    Parameters
    ----------
    values : ndarray of float32, shape (H, W)
        The map, 0 to 1.
    guide : ndarray, shape (H, W) or (H, W, 3)
        Its picture: grey, or RGB, which is made grey; uint8.
    radius : int
        Of the window in pixels, 1 to 1000.
    epsilon : float
        Variance of the picture, on a scale of 0 to 1, below which a window counts as flat; 1e-8 to 1.

    Returns
    -------
    ndarray of float32, shape (H, W)
        0 to 1.
    """
    if values.shape != guide.shape[:2]:
        raise ValueError(f"values and guide must have one height and width, not {values.shape} and {guide.shape}")
    grey = guide if guide.ndim == 2 else cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY)
    picture = grey.astype(np.float32) / 255

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(x, -1, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    mean_picture, mean_values = mean(picture), mean(values)
    variance = mean(picture * picture) - mean_picture**2
    covariance = mean(picture * values) - mean_picture * mean_values
    slope = covariance / (variance + np.float32(epsilon))
    offset = mean_values - slope * mean_picture
    return np.clip(mean(slope) * picture + mean(offset), 0, 1)
