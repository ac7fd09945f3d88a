"""The drawn jaw."""

import numpy as np
import pytest

from sketchprep.ops.jawline import catmull_rom, jawline


def landmarks(shift: float = 0.0) -> np.ndarray:
    """Jaw points on a half circle of radius 60 about (100, 80); the others are nowhere near it."""
    points = np.full((68, 2), 100.0)
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([100 + shift + 60 * np.cos(angle), 80 + 60 * np.sin(angle)], 1)
    return points


def paper() -> np.ndarray:
    return np.full((160, 200), 255, np.uint8)


def test_passes_through_every_point_and_stays_on_the_curve():
    sketch = jawline(paper(), landmarks=landmarks())
    for x, y in np.rint(landmarks()[:17]).astype(int):
        assert sketch[y - 1 : y + 2, x - 1 : x + 2].min() < 60
    y, x = np.nonzero(sketch < 200)
    assert np.abs(np.hypot(x - 100, y - 80) - 60).max() < 2
    assert y.min() > 76


@pytest.mark.parametrize("width", [1.0, 2.0, 5.0])
def test_the_line_is_as_wide_as_asked(width):
    ink = (255.0 - jawline(paper(), landmarks=landmarks(), width=width)).sum() / 255
    assert ink / (np.pi * 60) == pytest.approx(width, rel=0.25, abs=0.3)


def test_moves_with_the_points_by_parts_of_a_pixel():
    centres = []
    for shift in (0.0, 0.5):
        ink = 255.0 - jawline(paper(), landmarks=landmarks(shift))
        centres.append((ink * np.arange(200)).sum() / ink.sum())
    assert centres[0] == pytest.approx(100, abs=0.1)
    assert centres[1] - centres[0] == pytest.approx(0.5, abs=0.1)


def test_ink_only_gets_darker_and_the_input_stays():
    sketch = np.random.default_rng(0).integers(0, 256, (160, 200), dtype=np.uint8)
    before = sketch.copy()
    drawn = jawline(sketch, landmarks=landmarks())
    assert (drawn <= before).all()
    assert (drawn < before).any()
    assert np.array_equal(sketch, before)
    assert (jawline(np.zeros((160, 200), np.uint8), landmarks=landmarks()) == 0).all()


@pytest.mark.parametrize("offset", [-1000.0, 50.0, 1000.0])
def test_points_outside_the_picture_do_no_harm(offset):
    sketch = jawline(paper(), landmarks=landmarks() + offset)
    assert sketch.shape == (160, 200)
    assert (sketch < 255).any() == (abs(offset) < 100)


def test_one_pixel_and_equal_points():
    assert jawline(np.full((1, 1), 255, np.uint8), landmarks=np.zeros((68, 2))).shape == (1, 1)


def test_the_spline_holds_its_points_and_does_not_overshoot():
    points = np.array([[0, 0], [10, 0], [10.5, 0], [20, 0]], float)
    curve = catmull_rom(points, steps=8)
    assert np.allclose(curve[::8], points)
    assert (np.diff(curve[:, 0]) > 0).all()


@pytest.mark.parametrize("width", [0, -2, 101, float("nan")])
def test_refuses_a_width_out_of_range(width):
    with pytest.raises(ValueError, match="width"):
        jawline(paper(), landmarks=landmarks(), width=width)


def test_refuses_other_arrays():
    with pytest.raises(ValueError, match="landmarks"):
        jawline(paper(), landmarks=np.zeros((5, 2)))
    with pytest.raises(ValueError, match="image"):
        jawline(np.zeros((4, 4, 3), np.uint8), landmarks=landmarks())
