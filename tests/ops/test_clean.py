"""The classical clean-up of a photocopy."""

import cv2
import numpy as np
import pytest

from sketchprep.ops.clean import clean, feature_mask


def paper(height: int = 160, width: int = 200) -> np.ndarray:
    return np.full((height, width), 255, np.uint8)


def face_points() -> np.ndarray:
    """68 points with eyes at (70, 60) and (130, 60), nose and mouth below."""
    points = np.zeros((68, 2))
    points[:17] = np.stack([np.linspace(40, 160, 17), np.full(17, 100)], 1)
    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    points[17:22], points[22:27] = (70, 45) + 8 * ring[:5], (130, 45) + 8 * ring[:5]
    points[27:36] = np.stack([np.full(9, 100), np.linspace(65, 95, 9)], 1)
    points[36:42], points[42:48] = (70, 60) + 6 * ring, (130, 60) + 6 * ring
    points[48:68] = np.stack([np.linspace(80, 120, 20), np.full(20, 120)], 1)
    return points


def test_a_line_stays_and_specks_vanish():
    sketch = paper()
    cv2.line(sketch, (20, 80), (180, 90), 0, 3, cv2.LINE_AA)
    rng = np.random.default_rng(0)
    for x, y in zip(rng.integers(10, 190, 40), rng.integers(110, 150, 40), strict=True):
        sketch[y : y + 2, x : x + 2] = 60
    result = clean(sketch)
    assert (result[:, 60].min(), result[:, 140].min()) == (0, 0)
    assert (result[100:] < 128).sum() < 0.05 * (sketch[100:] < 128).sum()


def test_a_black_area_becomes_its_outline():
    sketch = paper()
    cv2.circle(sketch, (100, 80), 40, 0, -1, cv2.LINE_AA)
    result = clean(sketch)
    y, x = np.indices(result.shape)
    distance = np.hypot(x - 100, y - 80)
    assert (result[distance < 30] == 255).all()
    assert (result[distance > 46] == 255).all()
    assert np.median(result[np.abs(distance - 38.5) < 1]) < 60


def test_a_wide_grey_stroke_gets_darker_and_the_paper_whiter():
    sketch = np.full((160, 200), 235, np.uint8)
    cv2.line(sketch, (20, 80), (180, 80), 130, 3, cv2.LINE_AA)
    result = clean(sketch)
    assert result[80, 40:160].max() < 60
    assert (result[:70] == 255).all()


def test_no_eye_is_deleted_where_the_landmarks_are():
    sketch = paper()
    for x in (70, 130):
        cv2.ellipse(sketch, (x, 60), (5, 2), 0, 0, 360, 120, -1, cv2.LINE_AA)
    cv2.ellipse(sketch, (100, 145), (5, 2), 0, 0, 360, 120, -1, cv2.LINE_AA)
    assert (clean(sketch) == 255).all()
    result = clean(sketch, landmarks=face_points())
    for x in (70, 130):
        assert result[55:66, x - 8 : x + 9].min() < 60
    assert (result[135:155] == 255).all()


def test_the_feature_mask_covers_eyes_and_mouth_and_not_the_cheeks():
    mask = feature_mask(face_points(), (160, 200))
    assert mask[60, 70]
    assert mask[120, 100]
    assert not mask[95, 60]
    assert not mask[10, 10]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_paper_is_blank(level):
    assert (clean(np.full((50, 60), level, np.uint8)) == 255).all()


def test_mirror_commutes():
    sketch = paper()
    cv2.circle(sketch, (90, 70), 40, 40, 3, cv2.LINE_AA)
    mirrored = clean(np.ascontiguousarray(sketch[:, ::-1]))[:, ::-1]
    assert (np.abs(mirrored.astype(int) - clean(sketch)) <= 1).mean() > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (37, 50)])
def test_any_size_and_the_input_stays(shape):
    sketch = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    before = sketch.copy()
    result = clean(sketch, landmarks=face_points())
    assert result.shape == shape
    assert result.dtype == np.uint8
    assert np.array_equal(sketch, before)


@pytest.mark.parametrize(("name", "value"), [("line", 0.1), ("low", -1), ("low", 0.5), ("high", 3), ("min_length", -1)])
def test_refuses_what_is_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        clean(paper(), **{name: value})


def test_refuses_other_arrays():
    with pytest.raises(ValueError, match="image"):
        clean(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="landmarks"):
        clean(paper(), landmarks=np.zeros((68, 3)))
