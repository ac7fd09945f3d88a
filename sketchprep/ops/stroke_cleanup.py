"""Binarise a soft sketch: hysteresis on its ink, short strokes removed, constant stroke width on request."""

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops._validation import Range, check_landmarks, check_sketch, checked
from sketchprep.ops.clean import draw_kept, feature_mask
from sketchprep.ops.connected_components import drop_small, hysteresis

# How much fainter ink may be, and shorter a stroke: in the face's outline, and around eyes, brows, nose and mouth.
_IN_FACE = 0.7
_IN_FEATURES = 0.4
_AROUND = 15
# What is an area rather than a stroke: this thick in pixels, and as many times as thick as a usual stroke.
_THICKEST, _SURELY_AREA, _THICKER, _LARGER = 9, 25, 1.8, 1.6


@checked
def tidy(
    sketch: np.ndarray,
    *,
    low: Annotated[float, Range(0, 1, at_most="high")] = 0.25,
    high: Annotated[float, Range(0, 1)] = 0.55,
    min_length: Annotated[float, Range(0)] = 12.0,
    width: Annotated[float | None, Range(0.5, 50)] = None,
    landmarks: np.ndarray | None = None,
) -> np.ndarray:
    """Decide what a soft sketch leaves open: each stroke becomes black or goes.

    Parameters
    ----------
    sketch : ndarray, (H, W) uint8
        Black ink on white, soft where its maker was unsure.
    low, high : float, 0 to 1
        A stroke is kept where its ink is at least ``low`` (1 = black), if it is at least ``high`` somewhere.
    min_length : float, at least 0
        What is shorter and narrower than this many pixels goes.
    width : float, 0.5 to 50, optional
        Draw every stroke this many pixels wide, antialiased, along its middle.  What is at least three widths, 9
        pixels and 1.8 usual strokes thick, such as a pupil, stays an area.
    landmarks : ndarray, (68, 2) float, optional
        x and y in pixels.  Inside the face fainter and shorter strokes stay; around brows, eyes, nose and mouth ink
        of ``0.4 * low`` stays where there is none darker, however short, so that no eye gets lost.

    Returns
    -------
    ndarray, (H, W) uint8
        Black ink on white, antialiased.

    Raises
    ------
    ValueError
        If a parameter or the sketch is outside what is stated above.

    Notes
    -----
    Ink from ``high`` on is black in the result, ink under half of ``low`` white, linear in between, so that the edges
    of strokes stay soft.  The middle of a stroke is found by thinning.

    References
    ----------
    T. Y. Zhang, C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", CACM 1984.
    """
    check_sketch(sketch)
    ink = np.float32(1 / 255) * (255 - sketch).astype(np.float32)
    face = features = None
    if landmarks is not None:
        points = check_landmarks(landmarks)
        face, features = face_mask(points, sketch.shape), feature_mask(points, sketch.shape)
        _strengthen(ink, face & ~features, high, 1 / _IN_FACE)
        _strengthen(ink, features, high, 1 / _IN_FEATURES)
    kept = _kept(ink, low, high, min_length, face, features)
    if width is None:
        return draw_kept(ink, kept, low, high)
    return constant_width(kept, width=width, dark=kept & (ink >= high), features=features)


def _strengthen(ink: np.ndarray, where: np.ndarray, high: float, most: float) -> None:
    """Raise what is faint, in place: up to ``most`` times, until the darkest ink around reaches ``high``."""
    around = cv2.dilate(ink, np.ones((_AROUND, _AROUND), np.uint8))
    ink[where] *= np.clip(high / np.maximum(around, 1e-3), 1, most)[where]


def _kept(
    ink: np.ndarray, low: float, high: float, min_length: float, face: np.ndarray | None, features: np.ndarray | None
) -> np.ndarray:
    weak, strong = ink >= max(low, 1 / 255), ink >= max(high, 1 / 255)
    if face is None or features is None:
        return hysteresis(weak, strong, min_length=min_length)
    strong |= weak & features
    anywhere = hysteresis(weak, strong, min_length=min_length, keep=features)
    return anywhere | hysteresis(weak & face, strong & face, min_length=_IN_FACE * min_length)


def constant_width(
    mask: np.ndarray, *, width: float = 2.0, dark: np.ndarray | None = None, features: np.ndarray | None = None
) -> np.ndarray:
    """Draw the middle lines of a mask's strokes ``width`` pixels wide.

    Parameters
    ----------
    mask : ndarray, (H, W) bool
        True on ink.
    width : float
        In pixels.  What is at least three times as thick, 9 pixels, and 1.8 times as thick as the median stroke stays
        an area.
    dark : ndarray, (H, W) bool, optional
        Where areas may be; default: all of the mask.
    features : ndarray, (H, W) bool, optional
        Where an area may be as small as a disc of that thickness.  Elsewhere such a disc is where strokes meet.

    Returns
    -------
    ndarray, (H, W) uint8
        Black ink on white, antialiased over one pixel.
    """
    from skimage.morphology import skeletonize

    if not mask.any():
        return np.full(mask.shape, 255, np.uint8)
    # Ragged edges would grow whiskers, so the outline is rounded before thinning; what that wipes out is put back.
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2) > 0.45
    near = cv2.dilate(smooth.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    middle = skeletonize(smooth) | (skeletonize(mask) & ~near)
    distance = cv2.distanceTransform((~middle).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ink = np.clip(0.5 * width + 0.5 - distance, 0, 1)
    areas = _areas(mask, middle & mask, mask if dark is None else dark, width, features)
    ink = np.maximum(ink, cv2.GaussianBlur(areas.astype(np.float32), (0, 0), 0.5))
    return np.rint(255 * (1 - ink)).astype(np.uint8)


def _areas(
    mask: np.ndarray, middle: np.ndarray, dark: np.ndarray, width: float, features: np.ndarray | None
) -> np.ndarray:
    """What is too thick to be a stroke.  Where strokes meet it is thick too, but no larger than a disc."""
    depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    usual = 2 * float(np.median(depth[middle])) if middle.any() else 0.0
    side = max(int(3 * width), min(max(_THICKEST, int(_THICKER * usual)), _SURELY_AREA)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    thick = cv2.morphologyEx(dark.view(np.uint8), cv2.MORPH_OPEN, disc) > 0
    large = drop_small(thick, min_area=_LARGER * float(disc.sum()))
    return large if features is None else large | (thick & features)


def face_mask(landmarks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Ellipse around jaw and forehead; (H, W) bool.

    Parameters
    ----------
    landmarks : ndarray, (68, 2) float
        Its axis runs from the chin through the bridge of the nose, as far above the brows as the nose is below them.
    shape : tuple of int
        H, W.
    """
    chin, brows = landmarks[8], landmarks[17:27].mean(0)
    axis = brows - chin
    centre = chin + 0.68 * axis
    height = 1.36 * float(np.linalg.norm(axis))
    width = 1.1 * float(np.linalg.norm(landmarks[16] - landmarks[0]))
    mask = np.zeros(shape[:2], np.uint8)
    angle = float(np.degrees(np.arctan2(axis[1], axis[0])))
    box = (tuple(map(float, np.clip(centre, -1e4, 1e5))), (min(height, 1e5), min(width, 1e5)), angle)
    cv2.ellipse(mask, box, 1, -1)
    return mask > 0
