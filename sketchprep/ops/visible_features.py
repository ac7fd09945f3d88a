"""Which features of a face a photo shows: evidence for the lines that a drawing of it may have."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.ops._validation import check_landmarks
from sketchprep.ops.landmark_contours import BROWS, EYES, JAW, MOUTH, NOSE, dense

__all__ = ["FEATURES", "unseen_features"]

FEATURES = {
    "left_brow": BROWS[0],
    "right_brow": BROWS[1],
    "left_eye": EYES[0],
    "right_eye": EYES[1],
    "nose": NOSE,
    "mouth": MOUTH,
    "jaw": JAW,
}
"""Polylines of each feature by landmark numbers; left is left in the image."""

# Least relief, in L* of CIELAB, that half of a feature's length has.  The least on 159 portraits is twice that for
# brows, eyes and jaw, 1.5 times for mouths, 1.3 times for noses; in black glasses and under face masks it is below a
# quarter for eyes, below nine tenths for mouths.
_RELIEF = {"brow": 3.0, "eye": 4.5, "nose": 2.0, "mouth": 5.0, "jaw": 2.0}
_COVERED_NOSE = 6.0  # where the mouth is hidden: what hides it mostly reaches over the nose
_LIGHT, _LEAST_LIGHT = 50.0, 0.35  # L* of a face in good light; in less the relief counts for more, up to this share
_NEAR = 7.0  # width of a line's surroundings
_EYE_DISTANCE = 128.0  # of the FFHQ/CelebA-HQ frame at 512 px, for which the lengths are made


def unseen_features(photo: np.ndarray, landmarks: np.ndarray) -> tuple[str, ...]:
    """Name the features of which a photo shows nothing where the landmarks have them.

    Landmark predictors put eyes into black glasses, lips onto a face mask and a whole face into darkness.  A feature
    counts as seen if the lightness varies around half of its contour's length.

    Parameters
    ----------
    photo : ndarray of uint8, shape (H, W, 3)
        RGB.
    landmarks : ndarray, shape (68, 2)
        (x, y) in pixels.

    Returns
    -------
    tuple of str
        Keys of `FEATURES`, in their order.
    """
    points = check_landmarks(landmarks)
    patch, points = _around(photo, points)
    if not patch.size:
        return tuple(FEATURES)
    light = cv2.cvtColor(patch.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    unit = max(float(np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0))), 1.0) / _EYE_DISTANCE
    side = max(3, int(np.ceil(_NEAR * unit)) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    relief = cv2.morphologyEx(cv2.GaussianBlur(light, (0, 0), max(0.3, unit)), cv2.MORPH_GRADIENT, kernel)
    share = float(np.clip(np.median(_inside(light, points)) / _LIGHT, _LEAST_LIGHT, 1))
    found = {name: _median_relief(relief, points, lines, unit) / share for name, lines in FEATURES.items()}
    unseen = [name for name, value in found.items() if value < _RELIEF[name.rpartition("_")[2]]]
    if "mouth" in unseen and "nose" not in unseen and found["nose"] < _COVERED_NOSE:
        unseen.append("nose")
    return tuple(name for name in FEATURES if name in unseen)


def _around(photo: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a photo that shows the face, and the points in it."""
    margin = 0.1 * float(np.ptp(points, axis=0).max())
    left, top = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.maximum(np.ceil(points.max(axis=0) + margin), 0).astype(int)
    return photo[top:bottom, left:right], points - (left, top)


def _inside(light: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Lightness of the face's pixels; of all where none is inside."""
    face = np.zeros(light.shape, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return light[face > 0] if face.any() else light


def _median_relief(relief: np.ndarray, points: np.ndarray, lines: tuple[tuple[int, ...], ...], unit: float) -> float:
    """Relief that half of the lines' length has; outside the picture there is none."""
    at = np.rint(np.concatenate([dense(points[list(line)], step=1.5 * unit) for line in lines])).astype(int)
    inside = ((at >= 0) & (at < relief.shape[::-1])).all(axis=1)
    values = np.zeros(len(at))
    values[inside] = relief[at[inside, 1], at[inside, 0]]
    return float(np.median(values))
