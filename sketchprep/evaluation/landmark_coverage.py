"""Coverage of a face's parts by a drawing's ink, along the polylines of its 68 landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.evaluation.line_metrics import away_from

__all__ = ["PARTS", "coverage", "draw_coverage", "samples"]

STEP = 0.5

PARTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "left_eye": ((36, 37, 38, 39, 40, 41, 36),),
    "right_eye": ((42, 43, 44, 45, 46, 47, 42),),
    "nose": (tuple(range(27, 31)), tuple(range(31, 36))),
    "nose_base": (tuple(range(31, 36)),),
    "mouth": ((*range(48, 60), 48), (*range(60, 68), 60)),
    "jaw": (tuple(range(17)),),
    "jaw_inner": (tuple(range(2, 15)),),
    "left_brow": (tuple(range(17, 22)),),
    "right_brow": (tuple(range(22, 27)),),
}
"""Polylines of each part by landmark numbers; left is left in the image.

``nose`` is the ridge and the base; drawings often show the base alone.  ``jaw_inner`` leaves out two points at either
end, by the ears, which hair often hides.
"""


def samples(landmarks: np.ndarray, part: str) -> np.ndarray:
    """Points half a pixel apart along a part's polylines, so that each stands for the same length.

    Parameters
    ----------
    landmarks : ndarray, (68, 2) float
        x and y in pixels.
    part : str
        A key of `PARTS`.

    Returns
    -------
    ndarray, (N, 2) float64
        The middles of N equal stretches of each polyline.
    """
    points = [np.zeros((0, 2))]
    for line in PARTS[part]:
        corners = np.asarray(landmarks, np.float64)[list(line)]
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
        count = max(1, round(along[-1] / STEP))
        at = (np.arange(count) + 0.5) * along[-1] / count
        points.append(np.stack([np.interp(at, along, corners[:, i]) for i in (0, 1)], 1))
    return np.concatenate(points)


def coverage(drawn: np.ndarray, landmarks: np.ndarray, *, reach: float = 3.0) -> dict[str, float | None]:
    """Share of the length of each part's polylines that has ink nearby.

    Parameters
    ----------
    drawn : ndarray, (H, W) bool
        True on ink.
    landmarks : ndarray, (68, 2) float
        x and y in pixels.
    reach : float
        In pixels, inclusive.

    Returns
    -------
    dict of str to float or None
        For each key of `PARTS`, 0 to 1.  What lies outside the picture does not count; None for a part that lies
        outside altogether.
    """
    away = away_from(drawn)
    return {part: _share(_near(away, samples(landmarks, part), reach)) for part in PARTS}


def _near(away: np.ndarray, points: np.ndarray, reach: float) -> np.ndarray:
    """Of the points inside the picture, which are near ink."""
    inside = ((points >= -0.5) & (points < np.array(away.shape[::-1]) - 0.5)).all(1)
    at = points[inside].astype(np.float32)
    if not len(at):
        return np.zeros(0, bool)
    x, y = np.ascontiguousarray(at.T)
    # remap takes no side above 32767: columns of at most that many points.
    seen = [
        cv2.remap(away, x[i : i + 30000, None], y[i : i + 30000, None], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        for i in range(0, len(x), 30000)
    ]
    return np.concatenate(seen)[:, 0] <= reach


def _share(near: np.ndarray) -> float | None:
    return float(near.mean()) if near.size else None


def draw_coverage(
    picture: np.ndarray, drawn: np.ndarray, landmarks: np.ndarray, parts: tuple[str, ...], *, reach: float = 3.0
) -> np.ndarray:
    """A copy of a picture with the parts' polylines on it: green where ink is near, red where it is missing.

    Parameters
    ----------
    picture : ndarray, (H, W) or (H, W, 3) uint8
    drawn : ndarray, (H, W) bool

    Returns
    -------
    ndarray, (H, W, 3) uint8
        RGB.
    """
    image = np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture.copy()
    away = away_from(drawn)
    points = np.concatenate([samples(landmarks, part) for part in parts])
    height, width = drawn.shape
    points = points[((points >= -0.5) & (points < (width - 0.5, height - 0.5))).all(1)]
    for near, (x, y) in zip(_near(away, points, reach), np.rint(points).astype(int), strict=True):
        image[y, x] = (0, 170, 0) if near else (230, 0, 0)
    return image
