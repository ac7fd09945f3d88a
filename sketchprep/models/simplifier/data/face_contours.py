"""Face contours implied by landmarks, snapped to the nearest edge evidence in the picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.ops.jawline import catmull_rom
from sketchprep.ops.landmark_contours import EYES, JAW, MOUTH, NOSE, dense, runs, snap

__all__ = ["EYES", "JAW", "MOUTH", "NOSE", "complete", "dense", "face_outline", "feature_zone", "snap"]

_REACH, _ENOUGH, _JAW, _TWIN = 3.0, 0.88, 0.84, 6.5
_BROWS = (tuple(range(17, 22)), tuple(range(22, 27)))


def face_outline(landmarks: np.ndarray) -> np.ndarray:
    """Polygon of the face: the jaw, and above the brows half an ellipse as high as brows to nose tip."""
    jaw = landmarks[:17]
    left, right = jaw[0], jaw[16]
    up = landmarks[27] - landmarks[8]
    up = up / max(float(np.hypot(*up)), 1e-6)
    brows = landmarks[17:27].mean(0)
    height = 0.9 * float(np.hypot(*(brows - landmarks[30]))) + max(0.0, float((brows - (left + right) / 2) @ up))
    angle = np.linspace(0, np.pi, 24)[:, None]
    middle, half = (left + right) / 2, (right - left) / 2
    return np.concatenate([jaw, middle + np.cos(angle) * half + np.sin(angle) * height * up])


def feature_zone(landmarks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Brows, eyes, nose and mouth with a soft margin; (H, W) float32, 1 inside."""
    mask = np.zeros(shape[:2], np.float32)
    for part in (*_BROWS, range(29, 36), range(36, 42), range(42, 48), range(48, 60)):
        hull = cv2.convexHull(np.rint(np.clip(landmarks[list(part)], -8192, 8192)).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 1.0)
    eyes = float(np.hypot(*(landmarks[36:42].mean(0) - landmarks[42:48].mean(0))))
    reach = int(np.clip(0.07 * eyes, 1, 40))
    wide = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    return cv2.GaussianBlur(wide, (0, 0), max(0.3, reach / 3))


def complete(strokes: list[vector.Stroke], evidence: np.ndarray, landmarks: np.ndarray) -> list[vector.Stroke]:
    """Add what the landmarks ask for and no stroke has drawn.

    Parameters
    ----------
    strokes : list of ndarray, (N, 2) float32
    evidence : ndarray, (H, W) float32
        Of lines; about 1 for a clear one.
    landmarks : ndarray, (68, 2) float

    Returns
    -------
    list of ndarray, (N, 2) float32
        The strokes, and behind them those that were added.
    """
    shape = (evidence.shape[0], evidence.shape[1])
    chin = _jaw(evidence, landmarks)
    strokes = [*(part for stroke in strokes for part in _without_twins(stroke, [chin])), chin]
    drawn = vector.render(strokes, shape)
    added: list[vector.Stroke] = []
    for line, reach, tolerances in wanted_lines(landmarks):
        moved = snap(line, evidence, reach=reach)
        for tolerance in (*tolerances, None):
            away = cv2.distanceTransform((drawn < 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            if tolerance is None:
                moved, missing = snap(line, evidence, reach=1.5), _at(away, line) > _REACH
            else:
                missing = _at(away, moved) > tolerance
            fresh = [vector.smooth(moved[a:b], sigma=3.0) for a, b in runs(missing, join=3, least=4, widen=2)]
            added += fresh
            drawn = np.maximum(drawn, vector.render(fresh, shape))
            away = cv2.distanceTransform((drawn < 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            if (_at(away, line) <= _REACH).mean() >= _ENOUGH:
                break
    return [*strokes, *added]


def _jaw(evidence: np.ndarray, landmarks: np.ndarray) -> vector.Stroke:
    """The jaw in one line where it is seen, but far from its landmarks on at most a sixth of its length."""
    line = dense(catmull_rom(landmarks[:17]))
    for reach in (6.0, 4.5, 3.5):
        moved = snap(line, evidence, reach=reach)
        if (np.hypot(*(moved - line).T) <= _REACH).mean() >= _JAW:
            break
    return vector.smooth(moved, sigma=3.0)


def _without_twins(stroke: vector.Stroke, fresh: list[vector.Stroke]) -> list[vector.Stroke]:
    """What is left of a stroke without the stretches that run beside one of the fresh strokes."""
    for other in fresh:
        away = np.hypot(*(stroke[:, None] - other[None]).transpose(2, 0, 1))
        if away.min() > _TWIN:
            continue
        nearest = away.argmin(1)
        ours, theirs = (np.gradient(s, axis=0) if len(s) > 1 else np.zeros_like(s) for s in (stroke, other))
        cosine = np.abs((ours * theirs[nearest]).sum(1))
        cosine /= np.maximum(np.hypot(*ours.T) * np.hypot(*theirs[nearest].T), 1e-6)
        free = (away.min(1) > _TWIN) | (cosine < 0.85)
        pieces = [stroke[a:b] for a, b in runs(free, join=0, least=5, widen=0)]
        return [part for piece in pieces for part in _without_twins(piece, [f for f in fresh if f is not other])]
    return [stroke]


def _at(plane: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = np.clip(np.rint(points).astype(int).T, 0, [[plane.shape[1] - 1], [plane.shape[0] - 1]])
    return plane[y, x]


def wanted_lines(landmarks: np.ndarray) -> list[tuple[np.ndarray, float, tuple[float, ...]]]:
    """Splines that a drawing of a face has.

    Returns
    -------
    list of tuple
        Points (N, 2); how far they may move in pixels; at what distance in pixels a stroke counts as theirs: the
        first figure is tried first, the next where it leaves too much of the line bare.
    """
    parts: list[tuple[Sequence[int], float, tuple[float, ...]]] = [
        ((48, 49, 50, 51, 52, 53, 54), 2.5, (3.5, 2.5)), ((54, 55, 56, 57, 58, 59, 48), 2.5, (3.5, 2.5)),
        ((60, 61, 62, 63, 64), 2.5, (2.5,)), ((64, 65, 66, 67, 60), 2.5, (2.5,)),
        ((31, 32, 33, 34, 35), 2.5, (3.5, 2.5, 1.5)),
    ]  # fmt: skip
    return [(dense(catmull_rom(landmarks[list(part)])), reach, near) for part, reach, near in parts]
