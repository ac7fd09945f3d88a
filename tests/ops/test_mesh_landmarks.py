"""The 68 landmarks of a face mesh."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.ops.mesh_landmarks import EYE_CORNERS, VERTICES, landmarks_68
from sketchprep.ops.pose import MIRROR


def mesh() -> np.ndarray:
    points = np.random.default_rng(0).uniform(100, 400, (468, 2))
    points[list(EYE_CORNERS)] = [(150, 200), (200, 200), (300, 200), (350, 200)]
    return points


def test_points_lie_near_their_vertices_in_units_of_the_eye_distance() -> None:
    found = landmarks_68(mesh())
    assert found.shape == (68, 2)
    assert np.abs(found - mesh()[VERTICES]).max() < 0.25 * 150


def test_the_table_is_symmetric() -> None:
    offsets = landmarks_68(mesh()) - mesh()[VERTICES]
    np.testing.assert_allclose(offsets[list(MIRROR)] * [-1, 1], offsets, atol=0.3)


def test_turning_and_scaling_the_mesh_turns_and_scales_the_landmarks() -> None:
    angle = np.radians(130)
    turn = 2.5 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(landmarks_68(mesh() @ turn + 7), landmarks_68(mesh()) @ turn + 7)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(468, 2\)"):
        landmarks_68(np.zeros((68, 2)))
