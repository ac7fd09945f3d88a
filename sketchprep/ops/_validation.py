"""Argument checks shared by the ops: a ValueError that names the parameter and its value."""

import math

import numpy as np


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless ``image`` is a non-empty uint8 picture, (H, W, 3) RGB or (H, W) grey."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise ValueError(f"image must be a uint8 array, not {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) RGB or (H, W) grey and not empty, not of shape {image.shape}")


def check_sketch(image: np.ndarray) -> None:
    """Raise ValueError unless ``image`` is a non-empty (H, W) uint8 sketch."""
    check_image(image)
    if image.ndim != 2:
        raise ValueError(f"image must be a grey (H, W) sketch, not of shape {image.shape}")


def check_range(name: str, value: float, low: float, high: float = math.inf, *, above: bool = False) -> float:
    """Return ``value`` as a float, or raise ValueError unless low <= value <= high (low < value where ``above``)."""
    number = float(value)
    if not math.isfinite(number) or number > high or number < low or (above and number == low):
        floor = f"above {low:g}" if above else f"at least {low:g}"
        ceiling = "" if high == math.inf else f" and at most {high:g}"
        raise ValueError(f"{name} must be {floor}{ceiling}, not {value}")
    return number


def check_count(name: str, value: int, low: int, high: int) -> int:
    """Return ``value``, or raise ValueError unless it is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or int(value) != value or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value}")
    return int(value)


def check_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Return ``landmarks`` as (68, 2) float64, or raise ValueError unless they are 68 finite points."""
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"landmarks must be 68 finite (x, y) points, not an array of shape {points.shape}")
    return points
