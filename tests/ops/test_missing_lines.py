"""Missing lines of a face: drawn where nothing is, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sketchprep.ops.landmark_contours import EYES, JAW, MOUTH, NOSE, dense
from sketchprep.ops.missing_lines import complete


def frontal_face(size: int = 512) -> np.ndarray:
    """68 plausible landmarks of a face in the middle of a frame of 512 px, scaled to `size`."""
    points = np.zeros((68, 2))
    along = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([256 + 130 * np.cos(along), 250 + 210 * np.sin(along)], axis=1)
    for first, centre in ((17, 192), (22, 320)):
        points[first : first + 5] = [(centre - 40 + 20 * i, 205 - 6 * (2 - abs(2 - i))) for i in range(5)]
    points[27:31] = [(256, 240 + 22 * i) for i in range(4)]
    points[31:36] = [(228 + 14 * i, 322 + 5 * (2 - abs(2 - i))) for i in range(5)]
    for first, centre in ((36, 192), (42, 320)):
        turn = np.pi - np.arange(6) * np.pi / 3
        points[first : first + 6] = np.stack([centre + 26 * np.cos(turn), 242 - 10 * np.sin(turn)], axis=1)
    turn = np.pi - np.arange(12) * np.pi / 6
    points[48:60] = np.stack([256 + 48 * np.cos(turn), 383 - 20 * np.sin(turn)], axis=1)
    turn = np.pi - np.arange(8) * np.pi / 4
    points[60:] = np.stack([256 + 36 * np.cos(turn), 383 - 6 * np.sin(turn)], axis=1)
    return points * size / 512


def covered(sketch: np.ndarray, points: np.ndarray, reach: float) -> float:
    """Smallest share, over the parts, of the landmark polylines with ink nearby."""
    away = cv2.distanceTransform((sketch >= 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    shares = []
    for part in (*EYES, NOSE, MOUTH, JAW):
        line = np.concatenate([dense(points[list(polyline)]) for polyline in part])
        x, y = np.rint(line).astype(int).T
        shares.append((away[y, x] <= reach).mean())
    return float(min(shares))


@pytest.mark.parametrize("size", [128, 256, 512])
def test_a_blank_page_gets_every_part(size: int) -> None:
    points = frontal_face(size)
    result = complete(np.full((size, size), 255, np.uint8), landmarks=points)
    assert covered(result, points, 3 * size / 512 + 0.75) > 0.9
    assert 0.005 < (result < 128).mean() < 0.06, "lines, not areas"


def test_what_is_drawn_already_is_not_drawn_again() -> None:
    points = frontal_face()
    once = complete(np.full((512, 512), 255, np.uint8), landmarks=points)
    assert np.array_equal(complete(once, landmarks=points), once)


def test_a_missing_stretch_alone_is_filled_in() -> None:
    points = frontal_face()
    whole = complete(np.full((512, 512), 255, np.uint8), landmarks=points)
    gap = whole.copy()
    gap[440:, 216:296] = 255  # the chin
    result = complete(gap, landmarks=points)
    changed = np.argwhere(result != gap)
    assert len(changed)
    assert changed[:, 0].min() >= 430
    assert np.abs(changed[:, 1] - 256).max() < 60
    assert covered(result, points, 3.75) > 0.9


def test_an_outlined_brow_gets_no_line_through_its_middle() -> None:
    points = frontal_face()
    page = complete(np.full((512, 512), 255, np.uint8), landmarks=points)
    brow = np.rint(points[17:22]).astype(np.int32)
    cv2.polylines(page, [brow], False, 255, 9)
    half = np.array([0, 7])
    outline = np.concatenate([brow - half, (brow + half)[::-1]])
    cv2.polylines(page, [outline], True, 0, 2, cv2.LINE_AA)
    assert np.array_equal(complete(page, landmarks=points), page)


def test_lines_move_onto_faint_ink() -> None:
    """Faint ink two pixels below the jaw's landmarks is where the chin is drawn."""
    points = frontal_face()
    page = np.full((512, 512), 255, np.uint8)
    faint = page.copy()
    below = np.rint((points[:17] + np.array([0, 2])) * 16).astype(np.int32)
    cv2.polylines(faint, [below], False, 170, 2, cv2.LINE_AA, 4)
    column = slice(240, 272)
    rows = [np.argwhere(complete(p, landmarks=points)[430:480, column] < 128)[:, 0].mean() for p in (page, faint)]
    assert 0.8 < rows[1] - rows[0] < 2.6


def test_ink_only_gets_darker_and_the_input_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    sketch = rng.integers(0, 256, (512, 512), np.uint8)
    before = sketch.copy()
    result = complete(sketch, landmarks=frontal_face())
    assert (result <= sketch).all()
    assert np.array_equal(sketch, before)


def test_without_landmarks_nothing_happens_and_points_outside_do_no_harm() -> None:
    page = np.full((64, 64), 255, np.uint8)
    assert np.array_equal(complete(page), page)
    assert complete(page, landmarks=frontal_face() - 230).shape == (64, 64)
    assert np.array_equal(complete(page, landmarks=frontal_face() + 5000), page)


@pytest.mark.parametrize(("name", "value"), [("near", -1), ("reach", 21), ("width", 0)])
def test_a_wrong_parameter_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        complete(np.full((8, 8), 255, np.uint8), landmarks=frontal_face(), **{name: value})
