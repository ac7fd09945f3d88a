"""Resize pictures with antialiasing, label maps by nearest neighbour, and points along with them."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["rescale_points", "resize", "resize_labels"]


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize with antialiasing: the mean over each pixel's area along an axis that shrinks, bicubic where it grows.

    Parameters
    ----------
    image : ndarray of uint8, uint16 or float32, shape (H, W) or (H, W, C)
    size : tuple of int
        (width, height) of the result.

    Returns
    -------
    ndarray
        Of the same type; a copy if the size is the picture's own.
    """
    height, width = image.shape[:2]
    if size == (width, height):
        return image.copy()
    shrunk = (min(size[0], width), min(size[1], height))
    if shrunk != (width, height):
        image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return image


def rescale_points(points: np.ndarray, scale: float) -> np.ndarray:
    """Map points (x, y), with pixel centres at whole numbers, into a picture resized by `scale`."""
    return (np.asarray(points, np.float64) + 0.5) * scale - 0.5


def resize_labels(labels: np.ndarray, size: int) -> np.ndarray:
    """Resize a label map to `size` × `size` by nearest neighbour: the class at the centre of each new pixel."""
    return cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
