"""Line drawings of eyes and brows: two lids, the visible part of the iris, the pupil; an outline."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.models.simplifier.data import face_contours
from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.ops.jawline import catmull_rom

__all__ = ["brow", "eye"]

_IRIS = (0.18, 0.21, 0.24)
_CLOSED = 0.12
_FAINT, _THIN = 0.08, 3.5


def eye(grey: np.ndarray, evidence: np.ndarray, corners: np.ndarray) -> tuple[list[vector.Stroke], np.ndarray]:
    """Draw an eye.

    Parameters
    ----------
    grey : ndarray, (H, W) float32
        Lightness, 0 to 1.
    evidence : ndarray, (H, W) float32
        Of lines; about 1 for a clear one.
    corners : ndarray, (6, 2) float
        Landmarks of the eye: left corner, two on the upper lid, right corner, two on the lower lid.

    Returns
    -------
    strokes : list of ndarray, (N, 2) float32
        Lids, and of an open eye iris and pupil.
    opening : ndarray, (M, 2) float64
        The polygon between the lids.
    """
    lids = [face_contours.dense(catmull_rom(corners[list(part)])) for part in ((0, 1, 2, 3), (3, 4, 5, 0))]
    lids = [face_contours.snap(lid, evidence, reach=2.5, pull=0.08) for lid in lids]
    middle = (lids[0][-1] + lids[1][0]) / 2, (lids[1][-1] + lids[0][0]) / 2
    lids[0][-1] = lids[1][0] = middle[0]
    lids[1][-1] = lids[0][0] = middle[1]
    opening = np.concatenate(lids)
    strokes = [vector.smooth(lid, sigma=3.0) for lid in lids]
    across = float(np.hypot(*(corners[3] - corners[0])))
    height = float(np.hypot(*(corners[[1, 2]].mean(0) - corners[[4, 5]].mean(0))))
    if across < 12 or height < _CLOSED * across:
        return strokes, opening
    centre, radius = _iris(grey, opening, corners)
    circle = centre + radius * _circle(max(16, int(4 * radius)))
    hidden = ~vector.inside(opening, grey.shape)
    turn = _first_hidden(hidden, circle)
    arcs = vector.cut([np.roll(circle, -turn, axis=0)], hidden)
    strokes += [vector.smooth(arc, sigma=1.0) for arc in arcs if len(arc) > 4]
    pupil = centre + 0.28 * radius * _circle(10)
    strokes += vector.cut([np.concatenate([pupil, pupil[:1]]).astype(np.float32)], hidden)
    return strokes, opening


def brow(grey: np.ndarray, evidence: np.ndarray, points: np.ndarray) -> tuple[list[vector.Stroke], np.ndarray]:
    """Draw a brow: its outline where it is thick and stands out from the skin, else one line.

    Parameters
    ----------
    grey, evidence
        As for :func:`eye`.
    points : ndarray, (5, 2) float
        Landmarks of the brow from left to right.

    Returns
    -------
    strokes : list of ndarray, (N, 2) float32
    area : ndarray, (M, 2) float64
        The polygon that they stand for.
    """
    spine = face_contours.dense(catmull_rom(points))
    across = float(np.hypot(*(points[4] - points[0])))
    tangent = np.gradient(spine, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / np.maximum(np.hypot(*tangent.T), 1e-6)[:, None]
    upper, lower, contrast = _extent(_relief(grey, 0.22 * across), spine, normal, across)
    area = np.concatenate([spine + upper[:, None] * normal, (spine + lower[:, None] * normal)[::-1]])
    if contrast < _FAINT or np.median(lower - upper) < _THIN:
        return [vector.smooth(face_contours.snap(spine, evidence, reach=4.0), sigma=3.0)], area
    closed = np.concatenate([area, area[:1]])
    return [vector.smooth(closed, sigma=2.0)], area


def _relief(grey: np.ndarray, sigma: float) -> np.ndarray:
    """Logarithm of the lightness against that around, as a photocopy sees it: a shadow over brow and eye is none."""
    light = np.log(cv2.GaussianBlur(grey, (0, 0), 1.2) + np.float32(0.04))
    return np.asarray(light - cv2.GaussianBlur(light, (0, 0), max(sigma, 1.0)))


def _extent(
    relief: np.ndarray, spine: np.ndarray, normal: np.ndarray, across: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Offsets of both borders of a dark band along its spine, tapered at its ends, and its contrast.

    The landmarks lie on the upper half of a brow; what begins further below than a quarter of its length is the eye's.
    """
    offsets = np.arange(-0.14 * across, 0.22 * across + 0.25, 0.5)
    at = (spine[:, None] + offsets[None, :, None] * normal[:, None]).astype(np.float32)
    seen = cv2.remap(relief, at[..., 0], at[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    seen = _along(seen, 3.0)
    likely = seen + 1.2 * np.abs(offsets / across - 0.03)[None]
    inner = (offsets > -0.09 * across) & (offsets < 0.15 * across)
    middle = np.where(inner[None], likely, np.inf).argmin(1)
    middle = np.rint(_along(middle[:, None].astype(np.float32), 6.0)[:, 0]).astype(int)
    depth = np.zeros((len(spine), 2), np.float32)
    for i, centre in enumerate(middle):
        depth[i] = seen[i, :centre].max() - seen[i, centre], seen[i, centre + 1 :].max() - seen[i, centre]
    contrast = float(np.median(depth.min(1)))
    borders = np.stack([_border(seen, middle, -1), _border(seen, middle, 1)], 1) * 0.5 + offsets[0]
    borders = _along(borders, 5.0)
    ends = np.minimum(np.arange(len(spine)), np.arange(len(spine))[::-1]) / max(1.0, 0.16 * len(spine))
    taper = np.sqrt(np.clip(ends, 0, 1))[:, None]
    mean = borders.mean(1, keepdims=True)
    borders = mean + (borders - mean) * taper
    return borders[:, 0], borders[:, 1], contrast


def _border(seen: np.ndarray, middle: np.ndarray, step: int) -> np.ndarray:
    """Column, as a float, where each row of a plane has risen half way from its middle to the first height beyond."""
    columns = np.zeros(len(seen), np.float32)
    for i, centre in enumerate(middle):
        run = seen[i, centre::step]
        rising = np.maximum.accumulate(run)
        # The first height is left where the plane falls again by a third of what it rose.
        fallen = run < rising - 0.33 * (rising - run[0]) - 0.02
        run = run[: int(np.argmax(fallen))] if fallen.any() else run
        half = 0.5 * (run[0] + run.max())
        columns[i] = centre + step * int(np.argmax(run >= half))
    return columns


def _along(values: np.ndarray, sigma: float) -> np.ndarray:
    """Columns averaged along the first axis; (N, M) float32."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge").astype(np.float32)
    filtered = cv2.filter2D(padded, -1, (kernel / kernel.sum())[:, None], borderType=cv2.BORDER_REPLICATE)
    return filtered[reach : reach + len(values)]


def _circle(count: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _first_hidden(mask: np.ndarray, points: np.ndarray) -> int:
    """Index of a point under the mask, so that what is visible of a closed line is in one piece."""
    x, y = np.clip(np.rint(points).astype(int).T, 0, [[mask.shape[1] - 1], [mask.shape[0] - 1]])
    return int(np.argmax(mask[y, x]))


def _iris(grey: np.ndarray, opening: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of the disc that differs most from what else is seen between the lids."""
    axis = corners[3] - corners[0]
    across = float(np.hypot(*axis))
    down = np.array([-axis[1], axis[0]]) / across
    low = np.floor(opening.min(0)).astype(int) - 2
    high = np.ceil(opening.max(0)).astype(int) + 3
    low, high = np.clip([low, high], 0, [grey.shape[1], grey.shape[0]])
    window = cv2.GaussianBlur(grey[low[1] : high[1], low[0] : high[0]], (0, 0), 0.8)
    seen = vector.inside(opening - low, window.shape)
    y, x = np.indices(window.shape)
    best = (-np.inf, corners.mean(0), _IRIS[1] * across)
    for along in np.linspace(0.3, 0.7, 17):
        for lift in (-0.06, -0.03, 0.0, 0.03):
            centre = corners[0] + along * axis + lift * across * down + (corners.mean(0) - corners[[0, 3]].mean(0))
            away = np.hypot(x + low[0] - centre[0], y + low[1] - centre[1])
            for share in _IRIS:
                disc = seen & (away <= share * across)
                rest = seen & (away > share * across + 0.5)
                if disc.sum() < 8 or rest.sum() < 8:
                    continue
                score = float(window[rest].mean() - window[disc].mean()) - 0.3 * abs(along - 0.5)
                if score > best[0]:
                    best = (score, centre, share * across)
    return best[1], best[2]
