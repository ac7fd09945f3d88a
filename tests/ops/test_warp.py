"""The warp: pixel centres, no aliasing, no blur, borders that show no seam."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.ops.resize import resize
from sketchprep.ops.warp import frame_corners, outside_share, quad_matrix, transform_points, warp


def square(x: float, y: float, side: float) -> np.ndarray:
    """Corners of an upright square whose top left pixel has its centre at (x, y)."""
    x, y = x - 0.5, y - 0.5
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


def turned(degrees: float, ratio: float, source: int, size: int) -> np.ndarray:
    """Map the middle of a source onto the middle of a frame, `ratio` source pixels a frame pixel."""
    a = np.deg2rad(degrees)
    linear = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) / ratio
    return np.column_stack([linear, np.full(2, size / 2 - 0.5) - linear @ np.full(2, source / 2 - 0.5)])


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (96, 96, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    y, x = np.mgrid[0:400, 0:400] / 400
    waves = [np.sin(9 * x + 4 * y), np.cos(11 * y - 3 * x), np.sin(7 * (x + y) ** 2)]
    return np.rint(127.5 + 100 * np.stack(waves, -1)).astype(np.uint8)


@pytest.mark.parametrize("border", ["fade", "reflect", "white"])
def test_identity_gives_the_same_picture(noise: np.ndarray, border: str) -> None:
    assert np.array_equal(warp(noise, quad_matrix(square(0, 0, 96), 96), 96, border=border), noise)
    assert np.array_equal(warp(noise[:, :, 0], quad_matrix(square(0, 0, 96), 96), 96, border=border), noise[:, :, 0])


def test_whole_shifts_and_quarter_turns_are_exact(noise: np.ndarray) -> None:
    assert np.array_equal(warp(noise, quad_matrix(square(7, 12, 64), 64), 64), noise[12:76, 7:71])
    corners = np.roll(square(7, 12, 64), -1, axis=0)
    assert np.array_equal(warp(noise, quad_matrix(corners, 64), 64), np.rot90(noise[12:76, 7:71]))


@pytest.mark.parametrize("factor", [2, 4])
def test_whole_factors_average_the_area(noise: np.ndarray, factor: int) -> None:
    size = 96 // factor
    small = warp(noise, quad_matrix(square(0, 0, 96), size), size)
    mean = noise.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    assert np.abs(small - mean).max() <= 1.5


def test_crop_at_an_odd_place_is_in_phase(noise: np.ndarray) -> None:
    small = warp(noise, quad_matrix(square(9, 7, 80), 20), 20)
    mean = noise[7:87, 9:89].reshape(20, 4, 20, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - mean).max() <= 1.5


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.3, 1.9, 2.4, 3.7, 6.0])
@pytest.mark.parametrize("degrees", [0.0, 13.0])
def test_every_scale_shows_the_same_scene_in_the_same_place(smooth: np.ndarray, ratio: float, degrees: float) -> None:
    size = int(250 / ratio)
    matrix = turned(degrees, ratio, 400, size)
    frame = warp(smooth, matrix, size).astype(float)
    v, u = np.mgrid[0:size, 0:size]
    back = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))[:2]
    x, y = np.moveaxis(transform_points(back, np.stack([u, v], -1)), -1, 0) / 400
    scene = 127.5 + 100 * np.stack([np.sin(9 * x + 4 * y), np.cos(11 * y - 3 * x), np.sin(7 * (x + y) ** 2)], -1)
    assert np.abs(frame - scene).mean() < 0.7
    assert np.abs(frame - scene).max() < 6


@pytest.mark.parametrize("ratio", [1.6, 2.0, 2.6, 3.4, 5.0])
def test_stripes_too_fine_for_the_frame_become_grey(ratio: float) -> None:
    # One pixel black, one white: nothing of it may survive, least of all as coarser stripes.
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 255
    frame = warp(stripes, turned(5.0, ratio, 400, 70), 70)
    assert frame.std() < 24
    assert abs(frame.mean() - 127.5) < 3


def test_full_resolution_keeps_its_contrast() -> None:
    x = np.arange(300)
    stripes = np.tile(127.5 + 100 * np.sin(2 * np.pi * x / 4 + 0.4), (300, 1)).astype(np.uint8)
    turned_frame = warp(stripes, turned(10.0, 1.0, 300, 200), 200)
    assert turned_frame.std() > 0.8 * stripes.std()


def test_a_mirrored_picture_gives_the_mirrored_frame(smooth: np.ndarray) -> None:
    matrix = turned(17.0, 1.4, 400, 200)
    mirrored = matrix * np.array([[1, -1, 1], [-1, 1, 1]], float)
    source_flip = np.array([[-1, 0, 399.0], [0, 1, 0], [0, 0, 1]])
    frame_flip = np.array([[-1, 0, 199.0], [0, 1, 0], [0, 0, 1]])
    mirrored = (frame_flip @ np.vstack([matrix, (0, 0, 1)]) @ source_flip)[:2]
    a, b = warp(smooth, matrix, 200), warp(np.ascontiguousarray(smooth[:, ::-1]), mirrored, 200)
    assert np.abs(a.astype(int) - b[:, ::-1]).max() <= 2


@pytest.mark.parametrize("border", ["fade", "reflect", "white"])
def test_only_the_needed_part_is_read(border: str) -> None:
    picture = np.full((3000, 2000), 90, np.uint8)
    picture[1000:1400, 600:1000] = np.random.default_rng(1).integers(60, 200, (400, 400))
    other = picture.copy()
    other[:800], other[1600:] = 255, 0
    matrix = quad_matrix(square(620, 1020, 360), 100)
    assert np.array_equal(warp(picture, matrix, 100, border=border), warp(other, matrix, 100, border=border))


def test_inside_stays_untouched_and_outside_has_no_seam(smooth: np.ndarray) -> None:
    matrix = quad_matrix(square(-60, 0, 400), 400)
    faded, plain = warp(smooth, matrix, 400), warp(smooth, matrix, 400, border="reflect")
    assert np.array_equal(faded[:, 60:], plain[:, 60:])
    assert np.array_equal(plain[:, 60:], smooth[:, :340])
    assert np.array_equal(plain[:, :60], smooth[:, 59::-1])
    steps = np.abs(np.diff(faded.astype(int), axis=1))
    natural = np.abs(np.diff(smooth.astype(int), axis=1)).max()
    assert steps[:, 57:62].max() <= natural + 6
    # Far out there is less of the reflection than near the border.
    assert faded[:, 0].std(axis=0).mean() < 0.9 * plain[:, 0].std(axis=0).mean()


def test_no_black_corner_even_when_most_of_the_frame_is_outside() -> None:
    picture = np.full((50, 60, 3), (180, 150, 120), np.uint8)
    for quad in (square(-200, -150, 400), square(40, 30, 100), square(200, 200, 30), square(-99, 0, 20)):
        frame = warp(picture, quad_matrix(quad, 64), 64)
        assert np.abs(frame.astype(int) - (180, 150, 120)).max() <= 1


def test_white_border_is_white_and_its_edge_is_smooth() -> None:
    frame = warp(np.zeros((100, 100, 3), np.uint8), turned(30.0, 2.0, 100, 100), 100, border="white")
    assert (frame[0] == 255).all()
    assert (frame[50, 50] == 0).all()
    assert ((frame > 20) & (frame < 235)).sum() > 100


def test_outside_share_is_the_area(noise: np.ndarray) -> None:
    assert outside_share(quad_matrix(square(0, 0, 96), 64), (96, 96, 3), 64) == 0
    assert outside_share(quad_matrix(square(-24, 0, 96), 64), (96, 96, 3), 64) == pytest.approx(0.25, abs=1e-4)
    assert outside_share(quad_matrix(square(48, 48, 96), 64), (96, 96), 64) == pytest.approx(0.75, abs=1e-4)
    assert outside_share(quad_matrix(square(300, 0, 96), 64), (96, 96), 64) == 1
    # A square turned by 45 degrees around a picture of its own side sticks out by four triangles.
    assert outside_share(turned(45.0, 1.0, 200, 200), (200, 200), 200) == pytest.approx(3 - 2 * 2**0.5, abs=1e-3)


def test_corners_and_matrix_are_inverse() -> None:
    quad = np.array([(10.0, 20.0), (40.0, 30.0), (30.0, 60.0), (0.0, 50.0)])
    assert np.allclose(frame_corners(quad_matrix(quad, 77), 77), quad)


def test_input_is_not_changed(noise: np.ndarray) -> None:
    before = noise.copy()
    warp(noise, quad_matrix(square(-9, -9, 110), 64), 64)
    assert np.array_equal(noise, before)
    assert resize(noise, (96, 96)) is not noise
