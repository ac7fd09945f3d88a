"""Canny edges."""

import cv2
import numpy as np
import pytest

from sketchprep.ops.canny import canny


def disc() -> np.ndarray:
    return cv2.circle(np.full((81, 81), 255, np.uint8), (40, 40), 20, 0, -1)


def test_a_disc_gives_a_thin_ring_of_its_radius():
    edges = canny(disc())
    y, x = np.nonzero(edges == 0)
    distance = np.hypot(x - 40, y - 40)
    assert set(np.unique(edges)) == {0, 255}
    assert distance.min() > 18
    assert distance.max() < 22
    assert 90 < len(x) < 200


def test_a_constant_picture_is_blank_paper():
    assert (canny(np.full((30, 40, 3), 77, np.uint8)) == 255).all()


def test_grey_equals_replicated_rgb_and_mirror_commutes():
    grey = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8), (0, 0), 2)
    assert np.array_equal(canny(grey, low=40, high=80), canny(np.dstack([grey] * 3), low=40, high=80))
    # Ties between two equal gradients go one way: an edge may move by a pixel, never further.
    edges, mirrored = canny(disc()), canny(disc()[:, ::-1])[:, ::-1]
    for one, other in ((edges, mirrored), (mirrored, edges)):
        assert (cv2.erode(one, np.ones((3, 3), np.uint8))[other == 0] == 0).all()


def test_higher_thresholds_and_blur_leave_fewer_edges():
    noise = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    ink = [(canny(noise, low=low, high=high) == 0).sum() for low, high in ((50, 100), (200, 400), (600, 900))]
    assert ink[0] > ink[1] > ink[2]
    assert (canny(noise, blur=2.0) == 0).sum() < (canny(noise) == 0).sum()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1, 3), (40, 30, 3)])
def test_any_size_and_the_input_stays(shape):
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    edges = canny(image, blur=0.8)
    assert edges.shape == shape[:2]
    assert edges.dtype == np.uint8
    assert np.array_equal(image, before)


@pytest.mark.parametrize(("name", "value"), [("low", -1), ("low", 300), ("high", float("inf")), ("blur", -0.5)])
def test_refuses_what_is_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        canny(disc(), **{name: value})
