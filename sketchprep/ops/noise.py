"""Smooth random fields for wobble, illumination and paper texture."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["affine", "noise", "smooth_field", "wander"]


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], period: float) -> np.ndarray:
    """Random surface of about unit deviation that varies over `period` pixels; (H, W) float32."""
    rows, columns = (max(2, round(side / period) + 3) for side in shape)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    large = cv2.resize(coarse, (round(columns * period) + 1, round(rows * period) + 1), interpolation=cv2.INTER_CUBIC)
    y, x = (max(0, (large.shape[i] - shape[i]) // 2) for i in (0, 1))
    cropped = large[y : y + shape[0], x : x + shape[1]]
    return cropped if cropped.shape == shape else cv2.resize(cropped, shape[::-1])


def wander(rng: np.random.Generator, points: np.ndarray, size: int, period: float) -> np.ndarray:
    """A smooth random shift, of about unit deviation along either axis, at some points; (N, 2) float32."""
    side = max(2, round(size / period) + 4)
    coarse = rng.standard_normal((side, side, 2)).astype(np.float32)
    at = (np.clip(points, 0, size) / period + 1.5).astype(np.float32)
    parts = [at[i : i + 30000] for i in range(0, len(at), 30000)]
    shifts = [
        cv2.remap(coarse, p[:, :1], p[:, 1:], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[:, 0] for p in parts
    ]
    return np.concatenate(shifts)


def noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """White noise of unit deviation, (H, W) float32; several times cheaper than normal deviates."""
    plane = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)
    return (plane.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 73.9)


def affine(
    rng: np.random.Generator,
    centre: np.ndarray,
    *,
    size: int,
    scale: float,
    turn: float = 15.0,
    shift: float = 0.0,
    flip: bool = True,
) -> np.ndarray:
    """Random similarity that brings `centre` to about the middle of a square of `size` pixels.

    Parameters
    ----------
    centre : ndarray, (2,)
        x, y in the source.
    scale : float
        Pixels of the result to one of the source.
    turn : float
        Standard deviation of the rotation is a third of that many degrees.
    shift : float
        The centre lands within that many pixels of the middle, along either axis.
    flip : bool
        Mirror left and right every other time.

    Returns
    -------
    ndarray, (2, 3) float64
    """
    angle = np.radians(rng.normal(0, turn / 3))
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if flip and rng.random() < 0.5:
        matrix = matrix @ np.diag([-1.0, 1.0])
    target = (size - 1) / 2 + rng.uniform(-1, 1, 2) * shift
    return np.concatenate([matrix, (target - matrix @ centre)[:, None]], axis=1)
