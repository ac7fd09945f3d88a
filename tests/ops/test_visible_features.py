"""What a portrait shows of its face: all of it as it is; no eyes behind black glasses, no lips under a mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from portraits import FRONTAL, portrait

import sketchprep
from sketchprep.core import weights
from sketchprep.ops.missing_lines import complete
from sketchprep.ops.visible_features import FEATURES, unseen_features
from sketchprep.sketching.landmarks import Landmarker

Face = tuple[np.ndarray, np.ndarray]  # photo in the frame, landmarks


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    landmarker = Landmarker(weights.path("dlib-landmarks-68"))
    photos = [sketchprep.align(portrait(name), size=512).image for name in FRONTAL if portrait(name).exists()]
    return [(photo, landmarker.frame_points(photo)) for photo in photos[:4]]


def glasses(photo: np.ndarray, points: np.ndarray) -> np.ndarray:
    photo = photo.copy()
    for eye in (points[36:42], points[42:48]):
        x, y = np.rint(eye.mean(axis=0)).astype(int).tolist()
        cv2.ellipse(photo, (x, y + 3), (58, 42), 0, 0, 360, (14, 14, 16), -1, cv2.LINE_AA)
    return photo


def mask(photo: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A pale blue cloth over nose, mouth and chin, with shading, pleats and grain."""
    outline = np.concatenate([points[2:15], points[[29]]])
    where = np.zeros(photo.shape[:2], np.float32)
    cv2.fillPoly(where, [np.rint(outline).astype(np.int32)], 1)
    where = cv2.GaussianBlur(where, (0, 0), 1)[..., None]
    rows = np.arange(len(photo), dtype=np.float32)[:, None, None]
    cloth = np.array([160, 195, 215]) * (1 - 0.0004 * np.abs(rows - points[33, 1]))
    for share in (0.3, 0.6):
        cloth = cloth - 12 * np.exp(-(((rows - points[33, 1] - share * (points[8, 1] - points[33, 1])) / 2.5) ** 2))
    cloth = cloth + np.random.default_rng(0).normal(0, 2, (len(photo), len(photo), 1))
    return np.clip(photo * (1 - where) + cloth * where, 0, 255).astype(np.uint8)


def test_a_portrait_shows_everything(faces: list[Face]) -> None:
    for photo, points in faces:
        for light in (1.0, 0.4):
            assert unseen_features((photo * light).astype(np.uint8), points) == ()
        small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
        assert unseen_features(small, points / 2) == ()


def test_no_eyes_behind_black_glasses(faces: list[Face]) -> None:
    for photo, points in faces:
        assert unseen_features(glasses(photo, points), points) == ("left_eye", "right_eye")


def test_no_lips_on_a_mask(faces: list[Face]) -> None:
    for photo, points in faces:
        hidden = unseen_features(mask(photo, points), points)
        assert "mouth" in hidden
        assert not {"left_eye", "right_eye"} & set(hidden)


def test_no_face_in_darkness_or_outside(faces: list[Face]) -> None:
    photo, points = faces[0]
    assert unseen_features(np.zeros_like(photo), points) == tuple(FEATURES)
    assert unseen_features(photo, points + 5000) == tuple(FEATURES)


def test_complete_draws_only_what_the_photo_shows(faces: list[Face]) -> None:
    page = np.full((512, 512), 255, np.uint8)
    for photo, points in faces:
        whole = complete(page, landmarks=points)
        assert np.array_equal(complete(page, landmarks=points, photo=photo), whole)
        drawn = complete(page, landmarks=points, photo=glasses(photo, points))
        for eye in (points[36:42], points[42:48]):
            (left, top), (right, bottom) = np.rint(eye.min(0)).astype(int) - 2, np.rint(eye.max(0)).astype(int) + 3
            assert (whole[top:bottom, left:right] < 128).any()
            assert (drawn[top:bottom, left:right] == 255).all()
        assert np.array_equal(drawn[300:], whole[300:])
        assert np.array_equal(complete(page, landmarks=points, photo=np.zeros_like(photo)), page)
