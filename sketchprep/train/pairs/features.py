"""Eyes and brows as a draughtsman draws them: two lids, the visible part of the iris, the pupil; an outline."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.ops.jawline import catmull_rom
from sketchprep.train.pairs import contours, vector

__all__ = ["brow", "eye"]

_IRIS = (0.18, 0.21, 0.24)
_CLOSED = 0.12


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
    lids = [contours.dense(catmull_rom(corners[list(part)])) for part in ((0, 1, 2, 3), (3, 4, 5, 0))]
    lids = [contours.snap(lid, evidence, reach=2.5, pull=0.08) for lid in lids]
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
    """Draw a brow: its outline where it stands out from the skin, else one line.

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
    spine = contours.dense(catmull_rom(points))
    across = float(np.hypot(*(points[4] - points[0])))
    reach = np.clip(0.13 * across, 4.0, 16.0)
    low = np.maximum(np.floor(spine.min(0) - reach - 2).astype(int), 0)
    high = np.minimum(np.ceil(spine.max(0) + reach + 3).astype(int), [grey.shape[1], grey.shape[0]])
    line = [vector.smooth(contours.snap(spine, evidence, reach=4.0), sigma=3.0)]
    if min(high - low) < 8:
        return line, spine
    window = cv2.GaussianBlur(grey[low[1] : high[1], low[0] : high[0]], (0, 0), 1.5)
    stretch = (spine[-1] - spine[0]) * 0.06
    path = np.concatenate([[spine[0] - stretch], spine, [spine[-1] + stretch]]) - low
    band = np.zeros(window.shape, np.uint8)
    cv2.polylines(band, [np.rint(path).astype(np.int32)], False, 1, round(2 * reach))
    blob = _dark_blob(_level(window, band), band > 0)
    share = blob.sum() / max(1, band.sum())
    if not 0.15 < share < 0.7:
        return line, spine
    shape = cv2.GaussianBlur(blob.astype(np.float32), (0, 0), 1.5) > 0.5
    outlines, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return line, spine
    outline = max(outlines, key=len)[:, 0].astype(np.float64) + low
    if np.ptp(outline[:, 0]) < 0.6 * across:
        return line, spine
    closed = vector.smooth(np.concatenate([outline, outline[:1]]), sigma=3.0)
    return [closed], outline


def _level(window: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Take the slope of the light on the skin around the band out of the window."""
    around = cv2.dilate(band, np.ones((5, 5), np.uint8)) > 0
    rim = around & (cv2.erode(band, np.ones((5, 5), np.uint8)) == 0)
    y, x = np.nonzero(rim)
    columns = np.stack([x, y, np.ones_like(x)], 1).astype(np.float64)
    slope, *_ = np.linalg.lstsq(columns, window[rim].astype(np.float64), rcond=None)
    down, right = np.indices(window.shape)
    flat = window - slope[0] * right - slope[1] * down
    return (np.clip(flat - flat[around].min(), 0, 1)).astype(np.float32)


def _dark_blob(window: np.ndarray, band: np.ndarray) -> np.ndarray:
    """The largest piece of the darker of two classes of the band, if these differ clearly."""
    levels = (window[band] * 255).astype(np.uint8)
    limit, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = band & (window * 255 <= limit)
    light = band & ~dark
    if not dark.any() or not light.any() or window[light].mean() - window[dark].mean() < 0.07:
        return np.zeros_like(band)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8), connectivity=4)
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


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
