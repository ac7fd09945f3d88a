"""Coverage of landmark polylines, on drawn faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sketchprep.evaluation.landmark_coverage import PARTS, coverage, draw_coverage, samples

SIDE = 512


@pytest.fixture(scope="module")
def landmarks() -> np.ndarray:
    """A face of ellipses and straight lines in the middle of the frame."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([256 + 130 * np.cos(angle), 270 + 170 * np.sin(angle)], 1)
    points[17:22] = np.stack([np.linspace(160, 230, 5), np.full(5, 215.0)], 1)
    points[22:27] = np.stack([np.linspace(282, 352, 5), np.full(5, 215.0)], 1)
    points[27:31] = np.stack([np.full(4, 256.0), np.linspace(240, 310, 4)], 1)
    points[31:36] = np.stack([np.linspace(226, 286, 5), np.full(5, 325.0)], 1)
    for start, x in ((36, 195), (42, 317)):
        turn = np.linspace(np.pi, -np.pi, 6, endpoint=False)
        points[start : start + 6] = np.stack([x + 28 * np.cos(turn), 245 - 11 * np.sin(turn)], 1)
    for start, count, rx, ry in ((48, 12, 48, 22), (60, 8, 40, 10)):
        turn = np.linspace(np.pi, -np.pi, count, endpoint=False)
        points[start : start + count] = np.stack([256 + rx * np.cos(turn), 375 - ry * np.sin(turn)], 1)
    return points


def drawing(landmarks: np.ndarray, parts: tuple[str, ...] = tuple(PARTS), shift: tuple[float, float] = (0, 0)):
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    for part in parts:
        for polyline in PARTS[part]:
            points = np.rint((landmarks[list(polyline)] + shift) * 16).astype(np.int32)
            cv2.polylines(canvas, [points.reshape(-1, 1, 2)], False, 255, 1, cv2.LINE_8, 4)
    return canvas > 0


def test_a_drawing_of_the_landmarks_covers_every_part(landmarks: np.ndarray) -> None:
    found = coverage(drawing(landmarks), landmarks)
    assert set(found) == set(PARTS)
    assert all(share == 1 for share in found.values())
    blank = coverage(np.zeros((SIDE, SIDE), bool), landmarks)
    assert all(share == 0 for share in blank.values())


@pytest.mark.parametrize("part", ["left_eye", "right_eye", "jaw", "mouth", "left_brow"])
def test_each_part_is_seen_where_it_was_drawn_and_nowhere_else(landmarks: np.ndarray, part: str) -> None:
    found = coverage(drawing(landmarks, (part,)), landmarks)
    assert found[part] == 1
    assert all(share == 0 for other, share in found.items() if not other.startswith(part))


def test_left_is_left_in_the_image(landmarks: np.ndarray) -> None:
    left = np.zeros((SIDE, SIDE), bool)
    left[:, : SIDE // 2] = True
    found = coverage(left, landmarks)
    assert (found["left_eye"], found["right_eye"]) == (1, 0)
    assert (found["left_brow"], found["right_brow"]) == (1, 0)


def test_ink_counts_up_to_three_pixels_off(landmarks: np.ndarray) -> None:
    near = coverage(drawing(landmarks, shift=(0, 2.5)), landmarks)
    far = coverage(drawing(landmarks, shift=(0, 4.5)), landmarks)
    assert near["nose_base"] == near["left_brow"] == 1
    assert far["nose_base"] == far["left_brow"] == 0
    wider = coverage(drawing(landmarks, shift=(0, 4.5)), landmarks, reach=5)
    assert wider["nose_base"] == 1


def test_shares_go_by_length_not_by_the_number_of_landmarks(landmarks: np.ndarray) -> None:
    uneven = landmarks.copy()
    uneven[17:22, 0] = [100, 200, 201, 202, 203]  # one stretch holds 97 % of the brow's length
    ink = np.zeros((SIDE, SIDE), bool)
    ink[215, 100:151] = True
    assert coverage(ink, uneven)["left_brow"] == pytest.approx((50 + 3) / 103, abs=0.02)


def test_the_jaw_without_its_ends_ignores_what_hair_hides(landmarks: np.ndarray) -> None:
    ink = drawing(landmarks, ("jaw",))
    ends = np.zeros_like(ink)
    for point in (0, 1, 15, 16):
        x, y = landmarks[point].astype(int)
        ends[y - 33 : y + 8, x - 20 : x + 20] = True
    found = coverage(ink & ~ends, landmarks)
    assert found["jaw_inner"] > 0.97
    assert found["jaw"] < 0.9


def test_the_nose_is_ridge_and_base(landmarks: np.ndarray) -> None:
    found = coverage(drawing(landmarks, ("nose_base",)), landmarks)
    assert found["nose_base"] == 1
    assert found["nose"] == pytest.approx(60 / 130, abs=0.05)


def test_what_lies_outside_the_picture_does_not_count(landmarks: np.ndarray) -> None:
    moved = landmarks + np.array([0, 200])
    low = coverage(drawing(moved, ("left_eye",)), moved)
    assert low["left_eye"] == 1
    assert low["mouth"] is None
    assert low["jaw"] == 0
    ink = drawing(moved, ("jaw",))
    assert coverage(ink, moved)["jaw"] == 1


def test_samples_stand_for_equal_lengths(landmarks: np.ndarray) -> None:
    points = samples(landmarks, "nose_base")
    steps = np.hypot(*np.diff(points, axis=0).T)
    assert steps == pytest.approx(np.full(len(steps), 0.5), abs=1e-6)
    same = samples(np.zeros((68, 2)), "jaw")
    assert len(same) == 1


def test_eyes_and_lips_are_closed_lines(landmarks: np.ndarray) -> None:
    corner = (landmarks[41] + landmarks[36]) / 2
    away = np.hypot(*(samples(landmarks, "left_eye") - corner).T)
    assert away.min() < 0.5


def test_covered_stretches_are_drawn_green_and_bare_ones_red(landmarks: np.ndarray) -> None:
    mask = drawing(landmarks, ("left_eye",))
    page = np.full((SIDE, SIDE), 255, np.uint8)
    image = draw_coverage(page, mask, landmarks, ("left_eye", "right_eye"))
    green, red = (image == (0, 170, 0)).all(2), (image == (230, 0, 0)).all(2)
    assert green[:, :256].any()
    assert not red[:, :256].any()
    assert red[:, 256:].any()
    assert not green[:, 256:].any()
    assert (page == 255).all()
