"""Facial contours as polylines through the 68 landmarks, and snapping them to evidence in the picture."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["BROWS", "EYES", "JAW", "MOUTH", "NOSE", "dense", "runs", "snap"]

# Polylines by the landmarks they run through, in the order of iBUG 300-W.
BROWS = ((tuple(range(17, 22)),), (tuple(range(22, 27)),))
EYES = (((36, 37, 38, 39, 40, 41, 36),), ((42, 43, 44, 45, 46, 47, 42),))
NOSE = ((31, 32, 33, 34, 35),)
MOUTH = ((48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 48), (60, 61, 62, 63, 64, 65, 66, 67, 60))
JAW = (tuple(range(17)),)


def dense(points: np.ndarray, *, step: float = 1.5) -> np.ndarray:
    """Points about `step` pixels apart along a polyline, (N, 2) float64."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, along[-1], max(2, int(along[-1] / step) + 1))
    return np.stack([np.interp(at, along, points[:, i]) for i in (0, 1)], 1)


def snap(line: np.ndarray, evidence: np.ndarray, *, reach: float, pull: float = 0.04) -> np.ndarray:
    """Move a line sideways onto the strongest evidence, smoothly.

    Parameters
    ----------
    line : ndarray, (N, 2) float
        Points some 1.5 px apart.
    evidence : ndarray, (H, W) float32
    reach : float
        Farthest move in pixels.
    pull : float
        Cost of being one pixel off the line, in units of the evidence.

    Returns
    -------
    ndarray, (N, 2) float64
        The path of least cost among offsets of half a pixel; from one point to the next the offset changes by at most
        half a pixel.
    """
    tangent = np.gradient(line, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.maximum(np.hypot(*normal.T), 1e-6)[:, None]
    offsets = np.arange(-reach, reach + 0.25, 0.5)
    at = line[:, None] + offsets[None, :, None] * normal[:, None]
    seen = cv2.remap(evidence, at[..., 0].astype(np.float32), at[..., 1].astype(np.float32), cv2.INTER_LINEAR)
    cost = pull * np.abs(offsets)[None] - np.minimum(seen, 2.0)
    best = cost.copy()
    came = np.zeros(cost.shape, np.int64)
    for i in range(1, len(line)):
        before = np.pad(best[i - 1], 1, constant_values=np.inf)
        choices = np.stack([before[:-2] + 0.05, before[1:-1], before[2:] + 0.05])
        came[i] = choices.argmin(0) - 1
        best[i] += choices.min(0)
    chosen = np.empty(len(line), np.int64)
    chosen[-1] = best[-1].argmin()
    for i in range(len(line) - 1, 0, -1):
        chosen[i - 1] = chosen[i] + came[i][chosen[i]]
    return line + offsets[chosen][:, None] * normal


def runs(flags: np.ndarray, *, join: int, least: int, widen: int) -> list[tuple[int, int]]:
    """Start and end of each run of True, short breaks closed, short runs dropped, both ends moved outward."""
    closed = (
        flags.astype(np.uint8)
        if join == 0
        else cv2.morphologyEx(
            np.pad(flags, join).astype(np.uint8)[None], cv2.MORPH_CLOSE, np.ones((1, 2 * join + 1), np.uint8)
        )[0, join : len(flags) + join]
    )
    edges = np.flatnonzero(np.diff(np.concatenate([[0], closed, [0]]).astype(int)))
    return [
        (max(0, a - widen), min(len(flags), b + widen))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b - a >= least
    ]
