"""Tidying a soft sketch."""

import cv2
import numpy as np
import pytest

from sketchprep.ops.stroke_cleanup import constant_width, face_mask, tidy


def paper(height: int = 160, width: int = 200) -> np.ndarray:
    return np.full((height, width), 255, np.uint8)


def face_points() -> np.ndarray:
    """68 points: eyes at (70, 60) and (130, 60), nose and mouth below, chin at (100, 150)."""
    points = np.zeros((68, 2))
    jaw = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([100 + 55 * np.cos(jaw), 60 + 90 * np.sin(jaw)], 1)
    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    points[17:22], points[22:27] = (70, 45) + 8 * ring[:5], (130, 45) + 8 * ring[:5]
    points[27:36] = np.stack([np.full(9, 100), np.linspace(65, 95, 9)], 1)
    points[36:42], points[42:48] = (70, 60) + 6 * ring, (130, 60) + 6 * ring
    points[48:68] = np.stack([np.linspace(80, 120, 20), np.full(20, 120)], 1)
    return points


def test_a_stroke_that_is_sure_somewhere_stays_whole_and_gets_black() -> None:
    sketch = paper()
    cv2.line(sketch, (20, 80), (90, 80), 40, 3)
    cv2.line(sketch, (90, 80), (180, 80), 160, 3)
    cv2.line(sketch, (20, 120), (180, 120), 160, 3)
    result = tidy(sketch)
    assert result[80, 25:85].max() == 0
    assert result[80, 95:175].max() < 150
    assert (result[110:130] == 255).all()


def test_specks_go_and_haze_turns_white() -> None:
    sketch = paper()
    sketch[:] = 225
    cv2.line(sketch, (20, 40), (180, 40), 0, 2)
    sketch[100:104, 50:54] = 0
    result = tidy(sketch, min_length=8)
    assert (result[60:] == 255).all()
    assert (result[40, 30:170] == 0).all()
    assert (tidy(sketch, min_length=2)[101:103, 51:53] == 0).all()


def test_edges_stay_soft_and_the_input_unchanged() -> None:
    sketch = paper()
    cv2.line(sketch, (20, 20), (180, 140), 0, 3, cv2.LINE_AA)
    before = sketch.copy()
    result = tidy(sketch)
    assert len(np.unique(result)) > 5
    assert (result.shape, result.dtype) == (sketch.shape, np.uint8)
    np.testing.assert_array_equal(sketch, before)


def test_nothing_of_eyes_nose_and_mouth_is_lost() -> None:
    sketch = paper()
    spots = [(70, 60), (130, 60), (100, 90), (100, 120)]
    for x, y in spots:
        cv2.ellipse(sketch, (x, y), (4, 2), 0, 0, 360, 190, -1)
    cv2.ellipse(sketch, (20, 20), (4, 2), 0, 0, 360, 190, -1)
    assert (tidy(sketch) == 255).all()
    for width in (None, 2.0):
        kept = tidy(sketch, landmarks=face_points(), width=width)
        assert all(kept[y - 2 : y + 3, x - 4 : x + 5].min() < 120 for x, y in spots), width
        assert (kept[:40, :40] == 255).all()


def test_the_cheek_is_treated_between_feature_and_background() -> None:
    sketch = paper()
    sketch[98:100, 60:70] = 90
    sketch[10:12, 10:20] = 90
    assert (tidy(sketch, min_length=12) == 255).all()
    result = tidy(sketch, min_length=12, landmarks=face_points())
    assert result[98:100, 62:68].max() < 80
    assert (result[:30, :30] == 255).all()


@pytest.mark.parametrize("width", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("thickness", [2, 5])
def test_strokes_come_out_at_one_width(width: float, thickness: int) -> None:
    sketch = paper()
    cv2.line(sketch, (20, 80), (180, 80), 0, thickness)
    ink = 1 - tidy(sketch, width=width, min_length=5)[:, 40:160] / 255
    np.testing.assert_allclose(ink.sum(0), width, atol=0.15)
    middle = (ink * np.arange(160)[:, None]).sum(0) / ink.sum(0)
    assert np.abs(middle - 80).max() <= 0.6


def test_a_circle_keeps_its_radius() -> None:
    sketch = paper()
    cv2.circle(sketch, (100, 80), 50, 0, 4, cv2.LINE_AA)
    result = tidy(sketch, width=2.0)
    y, x = np.nonzero(result < 128)
    distance = np.hypot(x - 100, y - 80)
    assert np.abs(distance - 50).max() < 2.5
    angles = np.unique(np.round(np.degrees(np.arctan2(y - 80, x - 100)) / 5))
    assert len(angles) >= 72


def test_pupils_stay_filled() -> None:
    sketch = paper()
    cv2.line(sketch, (10, 140), (190, 140), 0, 3)
    cv2.circle(sketch, (100, 80), 9, 0, -1)
    result = tidy(sketch, width=2.0)
    y, x = np.indices(result.shape)
    distance = np.hypot(x - 100, y - 80)
    assert result[distance < 6].max() < 40
    assert result[(distance > 12) & (y < 130)].min() == 255


def test_haze_beside_strong_lines_is_not_drawn_black() -> None:
    sketch = paper()
    cv2.ellipse(sketch, (70, 60), (9, 7), 0, 0, 360, 205, -1)
    cv2.ellipse(sketch, (70, 60), (6, 3), 0, 0, 360, 0, 1)
    cv2.circle(sketch, (70, 60), 1, 0, -1)
    result = tidy(sketch, landmarks=face_points())
    assert result[60, 70] == 0
    assert result[64, 62:66].min() > 180


def test_whiskers_do_not_grow_on_a_ragged_stroke() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 300), bool)
    mask[28:33, 20:280] = True
    mask[27, 20:280], mask[33, 20:280] = rng.random(260) < 0.3, rng.random(260) < 0.3
    ink = constant_width(mask, width=1.0) < 128
    assert ink[:, 40:260].sum() < 1.1 * 220


def test_blank_pages_stay_blank_and_a_black_page_stays_black() -> None:
    for width in (None, 2.0):
        assert (tidy(paper(), width=width) == 255).all()
        assert (tidy(np.zeros((90, 90), np.uint8), width=width)[10:-10, 10:-10] == 0).all()


def test_the_face_mask_holds_the_face_and_little_else() -> None:
    mask = face_mask(face_points(), (160, 200))
    assert mask[[45, 60, 120, 145], [100, 70, 100, 100]].all()
    assert not mask[[150, 150, 20], [20, 180, 10]].any()
    tilted = face_points() @ np.array([[0, 1], [-1, 0]]) + (160, 0)
    turned = face_mask(tilted, (200, 160))
    assert abs(int(turned.sum()) - int(mask.sum())) < 0.05 * mask.sum()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"low": 0.6, "high": 0.5}, "low must not exceed high"),
        ({"low": -0.1}, "low must be"),
        ({"width": 0.0}, "width must be"),
        ({"min_length": -1}, "min_length must be"),
        ({"landmarks": np.zeros((5, 2))}, "68 finite"),
    ],
)
def test_parameters_are_named(words: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        tidy(paper(), **words)


def test_landmarks_far_outside_do_no_harm() -> None:
    sketch = paper()
    cv2.line(sketch, (20, 80), (180, 80), 0, 3)
    np.testing.assert_array_equal(tidy(sketch, landmarks=face_points() + 1e7), tidy(sketch))
