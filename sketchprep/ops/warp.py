"""Antialiased resampling through an affine map, reading only the part of the source that is needed.

Coordinates: pixel centres lie at whole numbers, the first at (0, 0), so a frame of n pixels spans [-0.5, n - 0.5].
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from sketchprep.ops.resize import resize

__all__ = ["Border", "frame_corners", "outside_share", "quad_matrix", "transform_points", "warp"]

Border = Literal["fade", "reflect", "white"]

# Rows and columns around the needed part, so that no interpolation kernel reaches past it.
_MARGIN = 4
# Above this ratio of source to frame pixels a direct bicubic sample would begin to alias.
_DIRECT = 1.05


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points through a 2×3 affine matrix.

    Parameters
    ----------
    matrix : ndarray of float64, shape (2, 3)
    points : ndarray, shape (..., 2)
        (x, y) in pixels.

    Returns
    -------
    ndarray of float64, shape (..., 2)
    """
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def quad_matrix(quad: np.ndarray, size: int) -> np.ndarray:
    """Return the affine map that takes a parallelogram onto a square frame.

    Parameters
    ----------
    quad : ndarray, shape (4, 2)
        Corners in the source: top left, top right, bottom right, bottom left of the frame.
    size : int
        Side of the frame in pixels.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        Source pixels to frame pixels.
    """
    low, high = -0.5, size - 0.5
    corners = np.array([(low, low), (high, low), (low, high)], np.float64)
    source = np.column_stack([np.asarray(quad, np.float64)[[0, 1, 3]], np.ones(3)])
    return np.linalg.solve(source, corners).T


def frame_corners(matrix: np.ndarray, size: int) -> np.ndarray:
    """Return the corners of the frame in the source, in the order that `quad_matrix` takes; shape (4, 2)."""
    low, high = -0.5, size - 0.5
    corners = np.array([(low, low), (high, low), (high, high), (low, high)], np.float64)
    return transform_points(_inverse(matrix), corners)


def outside_share(matrix: np.ndarray, shape: tuple[int, ...], size: int) -> float:
    """Compute which share of the frame's area lies outside the picture.

    Parameters
    ----------
    matrix : ndarray of float64, shape (2, 3)
        Source pixels to frame pixels.
    shape : tuple of int
        Shape of the source picture, (H, W, ...).
    size : int
        Side of the frame in pixels.

    Returns
    -------
    float
        0 to 1.
    """
    quad = frame_corners(matrix, size)
    height, width = shape[:2]
    picture = np.array([(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)])
    # Relative to the picture's middle and size, so that single precision is fine enough.
    middle, unit = picture.mean(axis=0), max(height, width)
    frame, view = ((np.asarray(p) - middle) / unit for p in (quad, picture))
    whole = cv2.contourArea(frame.astype(np.float32))
    common, _ = cv2.intersectConvexConvex(frame.astype(np.float32), view.astype(np.float32))
    share = 1 - common / whole
    return 0.0 if share < 1e-5 else float(min(1.0, share))


def warp(image: np.ndarray, matrix: np.ndarray, size: int, *, border: Border = "fade") -> np.ndarray:
    """Resample a picture into a square frame.

    Where the frame is coarser than the source the result is averaged over the area of each frame pixel (a box filter at
    the source where that is much finer, then two- or threefold supersampling); where it is as fine or finer it is
    bicubic.  A map that only shifts by whole pixels gives back the pixels themselves.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB, or grey.
    matrix : ndarray of float64, shape (2, 3)
        Source pixels to frame pixels, a similarity.
    size : int
        Side of the frame in pixels.
    border : {"fade", "reflect", "white"}
        What lies outside the picture: its reflection, blended outwards into a blur (sigma 2 % of the frame) and then
        into the median colour, as in FFHQ; the plain reflection; or 255.  Pixels inside the picture stay untouched.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3) or (size, size)
    """
    matrix = np.asarray(matrix, np.float64)
    pixels, local, ratio = _reduced(image, matrix, size)
    factor = 1 if ratio <= _DIRECT else 2 if ratio <= 2.25 else 3
    # The map from the supersampled frame back to the source: its pixels are 1 / factor of the frame's.
    back = _inverse(local)
    back[:, 2] += back[:, :2] @ np.full(2, 0.5 / factor - 0.5)
    back[:, :2] /= factor
    mode = cv2.BORDER_CONSTANT if border == "white" else cv2.BORDER_REFLECT
    # Bilinear samples this dense are as good; closer to the source's own resolution they would blur.
    kernel = cv2.INTER_LINEAR if ratio > 1.499 else cv2.INTER_CUBIC
    frame = cv2.warpAffine(
        pixels,
        back,
        (size * factor, size * factor),
        flags=kernel | cv2.WARP_INVERSE_MAP,
        borderMode=mode,
        borderValue=(255, 255, 255),
    )
    if factor > 1:
        frame = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
    return _fade(frame, matrix, image.shape) if border == "fade" else frame


def _inverse(matrix: np.ndarray) -> np.ndarray:
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def _reduced(image: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Cut out what the frame shows (with what it reflects); shrink it to under three source pixels a frame pixel.

    Returns the pixels, the map from them to the frame, and how many of them there are to one frame pixel.
    """
    ratio = 1 / float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    shrink = max(1, int(ratio / 1.5 + 1e-6))
    quad = frame_corners(matrix, size)
    spans = [
        _span(float(quad[:, axis].min()), float(quad[:, axis].max()), length, shrink)
        for axis, length in ((0, image.shape[1]), (1, image.shape[0]))
    ]
    (x0, x1), (y0, y1) = spans
    pixels = image[y0:y1, x0:x1]
    fine = np.array([x1 - x0, y1 - y0])
    coarse = np.maximum(1, np.rint(fine / shrink)).astype(int)
    step = fine / coarse
    if shrink > 1:
        pixels = resize(pixels, (int(coarse[0]), int(coarse[1])))
    # Source pixel of a coarse pixel i: (i + 0.5) * step - 0.5 + origin.
    to_source = np.column_stack([np.diag(step), 0.5 * step - 0.5 + (x0, y0)])
    local = np.column_stack([matrix[:, :2] @ to_source[:, :2], transform_points(matrix, to_source[:, 2])])
    return np.ascontiguousarray(pixels), local, ratio / shrink


def _span(low: float, high: float, length: int, step: int) -> tuple[int, int]:
    """Choose the columns (or rows) that a frame spanning [low, high] shows directly or reflected at the border."""
    margin = _MARGIN * step
    first, last = int(np.floor(low + 0.5)) - margin, int(np.ceil(high + 0.5)) + margin
    # What hangs over one end shows the same number of columns inside it.
    start = min(first, 2 * length - last) if last > length else first
    stop = max(last, -first) if first < 0 else last
    start, stop = max(0, min(start, length - 1)), min(length, max(stop, 1))
    if start >= stop:
        return 0, length
    # Whole steps from the frame's own edge keep the blocks of the box filter in phase with it.
    if start == 0 and first % step <= low - step:
        start = first % step
    whole = start + (stop - start) // step * step
    return start, whole if whole >= high + step else stop


def _fade(frame: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Blend what lies outside the picture into a blur and, further out, into the median colour."""
    size = frame.shape[0]
    quad = frame_corners(matrix, size)
    height, width = shape[:2]
    overhang = float(max(-quad.min() - 0.5, quad[:, 0].max() - width + 0.5, quad[:, 1].max() - height + 0.5))
    if overhang < 1e-3:
        return frame
    back = _inverse(matrix)
    side = float(np.hypot(*(quad[1] - quad[0])))
    distance = _distance_outside(back, size, width, height)
    far = np.clip(distance / max(overhang, 0.3 * side), 0, 1)
    near = np.clip(distance / (0.04 * side), 0, 1)
    # Quick to leave the reflection, which may show the crown of a second head; slow to reach the plain colour.
    far, near = 1 - (1 - far) ** 2, near * near * (3 - 2 * near)
    median = np.empty_like(frame)
    median[:] = np.median(frame[::8, ::8], axis=(0, 1))
    faded = cv2.blendLinear(_blurred(frame, 0.02 * size), frame, near, 1 - near)
    return cv2.blendLinear(median, faded, far, 1 - far)


def _blurred(frame: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian; a wide one on a copy of a quarter of the size, where it looks the same."""
    size = frame.shape[0]
    if sigma < 4:
        return cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    small = cv2.resize(frame, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / 4, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def _distance_outside(back: np.ndarray, size: int, width: int, height: int) -> np.ndarray:
    """Distance in source pixels of each frame pixel's centre from the picture; 0 inside."""
    steps = np.arange(size, dtype=np.float32)
    gaps = []
    for row, length in zip(back.astype(np.float32), (width, height), strict=True):
        place = row[0] * steps[None] + row[1] * steps[:, None] + row[2]
        gaps.append(np.maximum(np.maximum(-0.5 - place, place - (length - 0.5)), 0))
    return np.hypot(gaps[0], gaps[1])
