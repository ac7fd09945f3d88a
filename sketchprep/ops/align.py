"""Face alignment: similarity transforms to the FFHQ and the APDrawing frame, and resampling into them.

Two frames are known.  ``ffhq`` is the crop of FFHQ and CelebA-HQ (Karras et al., "Progressive growing of GANs", ICLR
2018, appendix C; "A style-based generator architecture", CVPR 2019), which DeepFaceDrawing's windows are laid out in.
``apdrawing`` is the template of APDrawingGAN (Yi et al., CVPR 2019).  Pixel centres lie at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sketchprep.errors import SampleError
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import frame_corners, outside_share, quad_matrix, transform_points, warp

__all__ = [
    "APDRAWING_POINTS",
    "Aligned",
    "Template",
    "align",
    "apdrawing_matrix",
    "ffhq_matrix",
    "ffhq_quad",
    "five_points",
    "frame_corners",
    "outside_share",
    "similarity",
    "transform_points",
    "warp",
    "whole_matrix",
]

Template = Literal["ffhq", "apdrawing", "none"]

# Left eye, right eye, nose tip, left and right mouth corner (left in the image), in a frame of 512 pixels.
APDRAWING_POINTS = np.array([(201.14, 246.86), (310.86, 246.86), (256.0, 311.77), (206.63, 370.83), (305.37, 370.83)])


@dataclass(frozen=True, slots=True)
class Aligned:
    """A picture in a frame.

    Attributes
    ----------
    image : ndarray of uint8, shape (size, size, 3) or (size, size)
    matrix : ndarray of float64, shape (2, 3)
        Original pixels to frame pixels.
    scale : float
        Frame pixels to one original pixel; above 1 the frame is finer than the photo.
    outside : float
        Share of the frame that lies outside the photo, 0 to 1.
    """

    image: np.ndarray
    matrix: np.ndarray
    scale: float
    outside: float


def align(image: np.ndarray, landmarks: np.ndarray | None, *, template: Template = "ffhq", size: int = 512) -> Aligned:
    """Resample a photo into a frame, in one antialiased step.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB, or grey.
    landmarks : ndarray, shape (68, 2), or None
        (x, y) in pixels; not used by ``"none"``.
    template : {"ffhq", "apdrawing", "none"}
        The frame.  ``"none"`` is the largest centred square of the picture.
    size : int
        Side of the frame in pixels.

    Returns
    -------
    Aligned
        Outside the photo ``ffhq`` shows its reflection fading into a blur and the median colour, ``apdrawing`` white.

    Raises
    ------
    SampleError
        ``"landmarks"`` if the points span no face.
    """
    if template == "none":
        return _whole(image, size)
    if landmarks is None:
        raise ValueError(f"the template {template} needs landmarks")
    matrix = ffhq_matrix(landmarks, size) if template == "ffhq" else apdrawing_matrix(landmarks, size)
    border: Literal["fade", "white"] = "white" if template == "apdrawing" else "fade"
    return Aligned(
        warp(image, matrix, size, border=border),
        matrix,
        float(np.hypot(matrix[0, 0], matrix[1, 0])),
        outside_share(matrix, image.shape, size),
    )


def ffhq_quad(landmarks: np.ndarray) -> np.ndarray:
    """Compute the square that FFHQ and CelebA-HQ cut out for a face.

    Its x axis follows the eyes and the perpendicular of the line from eyes to mouth, its side is the larger of 4 eye
    distances and 3.6 distances from eyes to mouth, its centre lies a tenth of the way from the eyes to the mouth.

    Parameters
    ----------
    landmarks : ndarray, shape (68, 2) or (5, 2)
        (x, y) in pixels; five points in the order of `five_points`.

    Returns
    -------
    ndarray of float64, shape (4, 2)
        Top left, top right, bottom right, bottom left.

    Raises
    ------
    SampleError
        ``"landmarks"`` if the points span no face.
    """
    left, right, _, *corners = five_points(landmarks)
    eyes, mouth = (left + right) / 2, np.mean(corners, axis=0)
    across, down = right - left, mouth - eyes
    axis = across + np.array([down[1], -down[0]])
    length = float(np.hypot(*axis))
    half = max(2.0 * float(np.hypot(*across)), 1.8 * float(np.hypot(*down)))
    if not (np.isfinite(half) and length > 1e-3 and half >= 2):
        raise SampleError("landmarks", f"the landmarks span no face (eyes {np.hypot(*across):.1f} px apart)")
    x = axis / length * half
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * down
    return np.stack([centre - x - y, centre + x - y, centre + x + y, centre - x + y])


def ffhq_matrix(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Return the 2×3 map from the photo to the FFHQ/CelebA-HQ frame of `size` pixels."""
    return quad_matrix(ffhq_quad(landmarks), size)


def apdrawing_matrix(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Return the 2×3 similarity that fits the five points to APDrawing's template in a frame of `size` pixels."""
    target = (APDRAWING_POINTS + 0.5) * (size / 512) - 0.5
    return similarity(five_points(landmarks), target)


def whole_matrix(shape: tuple[int, ...], size: int) -> np.ndarray:
    """Return the 2×3 map from the largest centred square of a picture of that shape to a frame of `size` pixels."""
    x, y, side = _centred_square(shape)
    low, high = np.array([x, y]) - 0.5, np.array([x, y]) + side - 0.5
    return quad_matrix(np.array([low, (high[0], low[1]), high, (low[0], high[1])]), size)


def _centred_square(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width = shape[:2]
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _whole(image: np.ndarray, size: int) -> Aligned:
    x, y, side = _centred_square(image.shape)
    square = resize(image[y : y + side, x : x + side], (size, size))
    return Aligned(square, whole_matrix(image.shape, size), size / side, 0.0)


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Return left eye, right eye, nose tip, left and right mouth corner (left in the image); shape (5, 2).

    Five points come back as they are.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape == (5, 2):
        return points
    if points.shape != (68, 2):
        raise ValueError(f"68 landmarks are needed, not an array of shape {points.shape}")
    return np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]])


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fit rotation, uniform scale and shift by least squares (Umeyama, PAMI 1991; in the plane a division).

    Parameters
    ----------
    source, target : ndarray, shape (N, 2)
        Corresponding points (x, y).

    Returns
    -------
    ndarray of float64, shape (2, 3)

    Raises
    ------
    SampleError
        ``"landmarks"`` if the source points coincide.
    """
    p, q = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    p0, q0 = p.mean(), q.mean()
    spread = float(np.sum(np.abs(p - p0) ** 2))
    if not (np.isfinite(spread) and spread > 1):
        raise SampleError("landmarks", "the landmarks span no face")
    turn = np.sum(np.conj(p - p0) * (q - q0)) / spread
    shift = q0 - turn * p0
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
