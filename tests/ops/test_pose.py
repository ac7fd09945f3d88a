"""Pose: known angles come back, signs follow the picture, position and size do not matter."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.errors import SampleError
from sketchprep.ops.pose import FACE, MIRROR, RIGID, estimate_pose, project, rotation


def seen(yaw: float, pitch: float, roll: float, **camera: float) -> np.ndarray:
    points = np.full((68, 2), np.nan)
    points[RIGID] = np.array([300, 260]) + project((yaw, pitch, roll), **camera)
    return points


ANGLES = [(y, p, r) for y in (-45, -20, 0, 10, 30) for p in (-30, 0, 25) for r in (-60, 0, 15)]


@pytest.mark.parametrize("angles", ANGLES)
def test_known_angles_come_back(angles: tuple[float, float, float]) -> None:
    assert np.allclose(estimate_pose(seen(*angles)), angles, atol=0.5)


@pytest.mark.parametrize("distance", [500.0, 3000.0])
def test_an_unknown_camera_distance_costs_little(distance: float) -> None:
    for angles in ANGLES:
        assert np.allclose(estimate_pose(seen(*angles, distance=distance)), angles, atol=4)


def test_noise_of_a_landmark_detector_costs_little() -> None:
    rng = np.random.default_rng(0)
    for angles in ANGLES:
        noisy = seen(*angles) + rng.normal(0, 2.5, (68, 2))
        assert np.allclose(estimate_pose(noisy), angles, atol=8)


def test_signs_are_those_of_the_picture() -> None:
    eyes, nose = [list(RIGID).index(i) for i in (36, 45)], list(RIGID).index(30)

    def nose_from_eyes(*angles: float) -> np.ndarray:
        points = project(angles)
        return points[nose] - points[eyes].mean(axis=0)

    straight = nose_from_eyes(0, 0, 0)
    assert straight[0] == pytest.approx(0, abs=1e-9)
    assert nose_from_eyes(20, 0, 0)[0] < -10
    assert nose_from_eyes(0, 20, 0)[1] < straight[1] - 10
    tilted = project((0, 0, 20))[eyes]
    assert tilted[1, 1] > tilted[0, 1]


def test_position_and_size_do_not_matter() -> None:
    points = seen(12, -7, 5)
    for scale, shift in ((0.3, (5, 900)), (4.0, (-700, 0)), (1.0, (3000, 3000))):
        assert np.allclose(estimate_pose(points * scale + shift), estimate_pose(points), atol=1e-3)


@pytest.mark.parametrize("angles", ANGLES)
def test_mirroring_negates_yaw_and_roll(angles: tuple[float, float, float]) -> None:
    yaw, pitch, roll = estimate_pose(seen(*angles))
    mirrored = seen(*angles)[MIRROR] * (-1, 1) + (600, 0)
    assert np.allclose(estimate_pose(mirrored), (-yaw, pitch, -roll), atol=1e-3)


@pytest.mark.parametrize("turn", [-80.0, -15.0, 5.0, 45.0, 100.0])
def test_turning_the_picture_adds_to_roll_alone(turn: float) -> None:
    a = np.deg2rad(turn)
    clockwise = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    for angles in ((0, 0, 0), (25, -10, 4), (-40, 20, -8)):
        yaw, pitch, roll = estimate_pose(seen(*angles))
        assert np.allclose(estimate_pose(seen(*angles) @ clockwise.T), (yaw, pitch, roll + turn), atol=1e-3)


def test_rotation_is_one_and_the_face_is_symmetric() -> None:
    matrix = rotation((30, -20, 50))
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)
    place = {int(i): FACE[k] for k, i in enumerate(RIGID)}
    assert all(np.allclose(place[int(MIRROR[i])], p * (-1, 1, 1)) for i, p in place.items())


def test_points_without_a_face_are_refused() -> None:
    for points in (np.zeros((68, 2)), np.full((68, 2), np.nan), np.full((68, 2), 7.0)):
        with pytest.raises(SampleError, match="landmarks"):
            estimate_pose(points)
