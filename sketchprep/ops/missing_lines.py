"""Complete a drawing with the facial contours it lacks, drawn along the landmarks."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops._validation import Range, check_landmarks, check_sketch, checked
from sketchprep.ops.jawline import catmull_rom, draw_curve
from sketchprep.ops.landmark_contours import dense, runs, snap
from sketchprep.ops.visible_features import unseen_features

__all__ = ["complete"]

# Each feature's curves through landmarks: brows, eyelids, base of the nose, outer and inner lips, jaw.
_CURVES: dict[str, tuple[tuple[int, ...], ...]] = {
    "left_brow": ((17, 18, 19, 20, 21),),
    "right_brow": ((22, 23, 24, 25, 26),),
    "left_eye": ((36, 37, 38, 39), (39, 40, 41, 36)),
    "right_eye": ((42, 43, 44, 45), (45, 46, 47, 42)),
    "nose": ((31, 32, 33, 34, 35),),
    "mouth": ((48, 49, 50, 51, 52, 53, 54), (54, 55, 56, 57, 58, 59, 48), (60, 61, 62, 63, 64), (64, 65, 66, 67, 60)),
    "jaw": (tuple(range(17)),),
}
_BROW = 3.0  # times as near: the outline of a thick brow runs on both sides of its landmarks
_EYE_DISTANCE = 128.0  # of the FFHQ/CelebA-HQ frame at 512 px, for which the lengths below are made


@checked
def complete(
    image: np.ndarray,
    *,
    near: Annotated[float, Range(0, 100)] = 3.0,
    reach: Annotated[float, Range(0, 20)] = 2.5,
    width: Annotated[float, Range(0, 100, above=True)] = 2.0,
    landmarks: np.ndarray | None = None,
    photo: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the brows, eyelids, nose base, lips and jaw where a sketch has no line near them.

    In flat light a photo shows no chin and no lip line, so no filter draws one; artists do.  Only the missing stretches
    are drawn, moved sideways onto the faint ink that may be there.

    Parameters
    ----------
    image : ndarray, (H, W) uint8
        Grey sketch, black ink on white.
    near : float, 0 to 100
        A stretch is missing where no ink lies within so many pixels of the landmarks' curve, three times as many for
        brows: artists draw the outline of a thick one, on both sides of its landmarks.
    reach : float, 0 to 20
        Farthest move of a drawn stretch from the landmarks' curve in pixels.
    width : float, above 0, at most 100
        Width of the drawn lines in pixels.
    landmarks : ndarray, (68, 2) float, optional
        (x, y) in pixels; without them the sketch comes back as it is.
    photo : ndarray, (H, W, 3) uint8, optional
        The photo that was drawn: features that it does not show are not drawn either, see
        `sketchprep.ops.visible_features`.

    Returns
    -------
    ndarray, (H, W) uint8
        The sketch with the missing lines; ink only gets darker.

    Raises
    ------
    ValueError
        If a parameter or the image is outside what is stated above.

    Notes
    -----
    Pixels are those of a face whose eyes are 128 px apart and scale with that distance.
    """
    check_sketch(image)
    result = image.copy()
    if landmarks is None:
        return result
    points = check_landmarks(landmarks)
    apart = float(np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0)))
    unit = max(apart, 1.0) / _EYE_DISTANCE
    ink = cv2.GaussianBlur((255 - image).astype(np.float32) / 255, (0, 0), max(0.3, unit))
    unseen = () if photo is None else unseen_features(photo, points)
    for feature, curves in _CURVES.items():
        enough = near * unit * (_BROW if feature.endswith("brow") else 1.0)
        for curve in curves if feature not in unseen else ():
            line = dense(catmull_rom(points[list(curve)]), step=1.5 * unit)
            _draw_missing(result, line, 1.5 * ink, enough, reach * unit, width * unit)
    return result


def _draw_missing(
    sketch: np.ndarray, line: np.ndarray, evidence: np.ndarray, near: float, reach: float, width: float
) -> None:
    """Draw in place those stretches of a line that have no ink nearby."""
    height, span = sketch.shape
    x, y = np.rint(line).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < span) & (y < height)
    if not inside.any():
        return
    # Ink farther away than `near` has no say, so only the surroundings of the line are looked at.
    margin = int(np.ceil(near)) + 2
    left, top = max(0, x[inside].min() - margin), max(0, y[inside].min() - margin)
    right, bottom = x[inside].max() + margin + 1, y[inside].max() + margin + 1
    paper = (sketch[top:bottom, left:right] >= 128).astype(np.uint8)
    away = cv2.distanceTransform(paper, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    at = away[np.clip(y - top, 0, away.shape[0] - 1), np.clip(x - left, 0, away.shape[1] - 1)]
    missing = inside & (at > near)
    if not missing.any():
        return
    moved = snap(line, evidence, reach=reach)
    # Averaged along its length, or the half-pixel steps of the search would show.
    moved = cv2.GaussianBlur(moved[None], (0, 0), sigmaX=2.0, sigmaY=1e-6, borderType=cv2.BORDER_REPLICATE)[0]
    for start, end in runs(missing, join=3, least=2, widen=2):
        draw_curve(sketch, moved[start:end], width)
