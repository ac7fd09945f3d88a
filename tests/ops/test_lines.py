"""Coherent lines and the flow beneath them."""

import cv2
import numpy as np
import pytest

from sketchprep.ops.edge_flow import edge_tangent_flow, tensor_flow
from sketchprep.ops.lines import lines, luminance


def disc(size: int = 121, radius: int = 36) -> np.ndarray:
    return cv2.circle(np.full((size, size), 230, np.uint8), (size // 2, size // 2), radius, 60, -1, cv2.LINE_AA)


def radii(size: int = 121) -> np.ndarray:
    y, x = np.indices((size, size)) - size // 2
    return np.hypot(x, y)


def test_a_dark_disc_gives_a_ring_on_white():
    sketch, distance = lines(disc()), radii()
    ring = np.abs(distance - 35) < 1
    assert sketch[ring].mean() < 100
    assert sketch[distance < 28].min() > 245
    assert sketch[distance > 42].min() > 245


@pytest.mark.parametrize("make", [edge_tangent_flow, tensor_flow])
def test_the_flow_runs_along_the_rim(make):
    field, distance = make(luminance(disc())), radii()
    y, x = np.indices(distance.shape) - 60
    rim = np.abs(distance - 36) < 2
    along_radius = (field[0] * x + field[1] * y)[rim] / distance[rim]
    assert np.abs(along_radius).max() < 0.15
    assert np.allclose(np.hypot(*field)[rim], 1, atol=1e-3)


@pytest.mark.parametrize("make", [edge_tangent_flow, tensor_flow])
def test_the_flow_of_nothing_is_nothing(make):
    assert not make(np.full((20, 30), 0.5, np.float32)).any()


def test_flow_joins_a_broken_line():
    image = np.full((61, 121), 255, np.uint8)
    image[29:32, 10:110] = 60
    image[:, 58:62] = 255
    alone, joined = (lines(image, sigma_flow=sigma) for sigma in (0.0, 5.0))
    assert joined[30, 58:62].max() < alone[30, 58:62].max() - 40


def test_iterations_make_lines_no_fainter():
    image = disc()
    assert lines(image, iterations=3).mean() <= lines(image).mean()


def test_threshold_gives_pure_black_and_white():
    assert set(np.unique(lines(disc(), threshold=0.7))) == {0, 255}
    ink = [(lines(disc(), threshold=t) == 0).sum() for t in (0.2, 0.5, 0.95)]
    assert ink[0] <= ink[1] <= ink[2]
    assert ink[0] < ink[2]


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_constant_picture_is_blank_paper(level):
    assert (lines(np.full((40, 50), level, np.uint8)) == 255).all()


def test_grey_equals_replicated_rgb_and_mirror_commutes():
    grey = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (70, 90), dtype=np.uint8), (0, 0), 3)
    sketch = lines(grey)
    assert np.array_equal(sketch, lines(np.dstack([grey] * 3)))
    mirrored = lines(np.ascontiguousarray(disc()[:, ::-1]))[:, ::-1]
    off = np.abs(mirrored.astype(int) - lines(disc()))
    assert (off <= 1).mean() > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1, 3), (2, 3), (37, 50, 3)])
def test_any_size_and_the_input_stays(shape):
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    sketch = lines(image, iterations=2)
    assert sketch.shape == shape[:2]
    assert sketch.dtype == np.uint8
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigma_line", 0.1),
        ("sigma_flow", -1),
        ("rho", 1.5),
        ("flow_radius", 0),
        ("flow_iterations", 1.5),
        ("iterations", 0),
        ("threshold", 1.2),
    ],
)
def test_refuses_what_is_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        lines(disc(), **{name: value})


def test_refuses_a_side_that_is_too_long():
    with pytest.raises(ValueError, match="32766"):
        lines(np.zeros((1, 40000), np.uint8))
