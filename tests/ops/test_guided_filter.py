"""The guided filter: constants stay, edges of the picture come into the map, noise goes."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.ops.guided_filter import guided_filter


def step() -> np.ndarray:
    picture = np.full((60, 80, 3), 40, np.uint8)
    picture[:, 40:] = 200
    return picture


def test_a_constant_map_stays() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)
    np.testing.assert_allclose(guided_filter(np.full((60, 80), 0.3, np.float32), noise), 0.3, atol=1e-4)


def test_a_blurred_edge_becomes_the_pictures() -> None:
    soft = np.clip((np.arange(80, dtype=np.float32) - 32) / 16, 0, 1)[None].repeat(60, 0)
    sharp = guided_filter(soft, step(), radius=12)
    assert sharp[:, 38].max() < sharp[:, 41].min() - 0.5
    assert soft[0, 41] - soft[0, 38] < 0.2


def test_a_flat_picture_gives_a_mean() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.random((60, 80)).astype(np.float32)
    assert guided_filter(noisy, np.full((60, 80), 128, np.uint8)).std() < noisy.std() / 8


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="one height and width"):
        guided_filter(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="radius"):
        guided_filter(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.uint8), radius=0)
