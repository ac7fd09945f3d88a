"""resize: antialiased, in range, in place."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.ops.resize import resize


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Draw a picture without symmetry: a colour ramp, red top left, blue bottom right."""
    y, x = np.mgrid[0:48, 0:64].astype(np.float64)
    ramp = np.stack([230 - 3 * x, 60 + 2 * y + x, 20 + 4 * y], -1)
    ramp[:12, :16] = (220, 20, 20)
    ramp[36:, 48:] = (20, 20, 220)
    return np.clip(ramp, 0, 255).astype(np.uint8)


def gap(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b).mean())


def test_resize_does_not_alias_and_keeps_the_mean() -> None:
    stripes = np.zeros((96, 96), np.uint8)
    stripes[:, ::2] = 255
    small = resize(stripes, (32, 96))
    assert small.shape == (96, 32)
    assert small.min() > 80
    assert small.max() < 175
    # One axis shrinks while the other grows.
    mixed = resize(stripes, (48, 192))
    assert mixed.shape == (192, 48)
    assert np.abs(mixed.astype(int) - 127).max() <= 1
    assert np.array_equal(resize(stripes, (96, 96)), stripes)


def test_resize_upward_stays_in_range_and_in_place(scene: np.ndarray) -> None:
    large = resize(scene, (192, 144))
    assert large.shape == (144, 192, 3)
    assert gap(resize(large, (64, 48)), scene) < 4
