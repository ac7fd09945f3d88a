"""Strokes: drawn, traced, cut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.models.simplifier.data.svg_line_art import strokes_of


def circle(x: float, y: float, radius: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 80)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1).astype(np.float32)


@pytest.mark.parametrize("width", [1.0, 2.0, 5.0])
def test_a_line_has_its_width_and_place(width: float):
    ink = vector.render([np.array([[10, 30.5], [90, 30.5]], np.float32)], (61, 101), width=width, fine=8) / 255.0
    column = ink[:, 50]
    assert column.sum() == pytest.approx(width, abs=0.3)
    assert (column * np.arange(61)).sum() / column.sum() == pytest.approx(30.5, abs=0.15)


def test_tracing_finds_the_middle_of_lines():
    strokes = [circle(60, 60, 40), np.array([[110, 20], [150, 100]], np.float32)]
    mask = vector.render(strokes, (128, 160), width=4.0) > 128
    traced = vector.trace(mask)
    assert len(traced) == 2
    for points in traced:
        from_circle = np.abs(np.hypot(*(points - 60).T) - 40)
        on_line = np.abs((points - [110, 20]) @ np.array([80, -40]) / np.hypot(80, 40))
        assert min(from_circle.mean(), on_line.mean()) < 0.8
    assert vector.lengths(traced).sum() == pytest.approx(2 * np.pi * 40 + np.hypot(40, 80), rel=0.08)


def test_strokes_run_straight_through_a_crossing():
    lines = [np.array([[10, 50], [90, 52]], np.float32), np.array([[48, 10], [52, 90]], np.float32)]
    traced = vector.trace(vector.render(lines, (101, 101), width=3.0) > 128)
    assert sorted(vector.lengths(traced).round(-1).tolist()) == [80, 80]


def test_gaps_are_closed_only_when_asked():
    pieces = [np.array([[10, 30], [45, 30]], np.float32), np.array([[53, 30], [90, 30]], np.float32)]
    mask = vector.render(pieces, (60, 100), width=2.0) > 128
    assert len(vector.trace(mask)) == 2
    joined = vector.trace(mask, gap=10)
    assert len(joined) == 1
    assert vector.lengths(joined)[0] == pytest.approx(80, abs=4)


def test_cutting_leaves_what_is_outside():
    mask = np.zeros((50, 100), bool)
    mask[:, 40:60] = True
    line = np.stack([np.arange(100.0), np.full(100, 25.0)], 1).astype(np.float32)
    left = vector.cut([line], mask)
    assert [(part[0, 0], part[-1, 0]) for part in left] == [(0, 39), (60, 99)]


def test_smoothing_keeps_ends_and_closed_shapes():
    rng = np.random.default_rng(0)
    line = np.stack([np.linspace(0, 100, 101), rng.normal(0, 1, 101)], 1)
    calm = vector.smooth(line, sigma=4.0)
    np.testing.assert_allclose(calm[[0, -1]], line[[0, -1]], atol=1e-4)
    assert calm[5:-5, 1].std() < 0.5
    ring = vector.smooth(circle(0, 0, 30), sigma=2.0)
    assert np.hypot(*(ring[0] - ring[-1])) < 1.5
    assert np.abs(np.hypot(*ring.T) - 30).max() < 0.5


def test_an_empty_mask_has_no_strokes():
    assert vector.trace(np.zeros((20, 20), bool)) == []
    assert (vector.render([], (20, 30)) == 0).all()


def test_line_art_lines_are_traced_and_areas_outlined():
    picture = np.full((200, 300), 255, np.uint8)
    cv2.circle(picture, (80, 100), 50, 0, -1)
    cv2.line(picture, (160, 30), (280, 170), 0, 5)
    strokes = strokes_of(picture)
    ink = vector.render(strokes, picture.shape) > 128
    y, x = np.nonzero(ink)
    left = x < 150
    assert np.abs(np.hypot(x[left] - 80, y[left] - 100) - 50).max() < 4
    off = np.abs((x[~left] - 160) * 140 - (y[~left] - 30) * 120) / np.hypot(120, 140)
    assert off.max() < 3
    assert ink.sum() == pytest.approx(2 * (2 * np.pi * 50 + np.hypot(120, 140)), rel=0.15)
