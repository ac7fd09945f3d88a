"""Connected components of masks: hysteresis thresholding, removal of small components."""

import cv2
import numpy as np


def hysteresis(
    weak: np.ndarray, strong: np.ndarray, *, min_length: float = 0.0, keep: np.ndarray | None = None
) -> np.ndarray:
    """8-connected components of ``weak`` that contain a ``strong`` pixel and reach ``min_length``.

    Parameters
    ----------
    weak, strong : ndarray, (H, W) bool
    min_length : float
        Least side of the bounding box, the longer one, in pixels.
    keep : ndarray, (H, W) bool, optional
        A component that touches it stays whatever its length.

    Returns
    -------
    ndarray, (H, W) bool
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(weak.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    chosen = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= min_length
    if keep is not None:
        chosen[labels[keep]] = True
    has_strong = np.zeros(count, bool)
    has_strong[labels[strong & weak]] = True
    chosen &= has_strong
    chosen[0] = False
    return chosen[labels]


def drop_small(mask: np.ndarray, *, min_area: float) -> np.ndarray:
    """``mask`` (H, W) bool without its 8-connected components of fewer than ``min_area`` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    chosen = stats[:, cv2.CC_STAT_AREA] >= min_area
    chosen[0] = False
    return chosen[labels]
