"""Faces and landmarks on the bundled portraits, by what does not depend on a reference: mirroring, size, shift."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from sketchprep.core import weights
from sketchprep.core.resources import resource
from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.ops import align
from sketchprep.ops.pose import MIRROR, estimate_pose
from sketchprep.ops.resize import resize
from sketchprep.sketching.landmarks import Box, Landmarker, box_around


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(weights.path("dlib-landmarks-68"))


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    files = sorted(resource("data/portraits").glob("*.jpg"))
    return {file.stem: images.decode(file.read_bytes()) for file in files}


def eyes_apart(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[36:42].mean(axis=0) - points[42:48].mean(axis=0)))


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance in per cent of the distance between the eyes."""
    return 100 * float(np.linalg.norm(a - b, axis=1).mean()) / eyes_apart(a)


def test_each_portrait_shows_one_face(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    counts = {name: len(landmarker.faces(photo)) for name, photo in photos.items()}
    assert counts == dict.fromkeys(photos, 1)


def test_landmarks_lie_in_order_on_the_face(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    for photo in list(photos.values())[:8]:
        (box,) = landmarker.faces(photo)
        points = landmarker.points(photo, box)
        assert points.shape == (68, 2)
        left, right, nose, *mouth = align.five_points(points)
        assert left[0] < nose[0] < right[0] or abs(estimate_pose(points).yaw) > 20
        assert max(left[1], right[1]) < nose[1] < min(m[1] for m in mouth) < points[8, 1]
        assert box.left < points[30, 0] < box.right
        assert box.top < points[30, 1] < box.bottom


def test_mirrored_photo_has_mirrored_landmarks(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    gaps = []
    for photo in list(photos.values())[:8]:
        width = photo.shape[1]
        (box,) = landmarker.faces(photo)
        flipped_box = Box(width - 1 - box.right, box.top, width - 1 - box.left, box.bottom)
        flipped = landmarker.points(np.ascontiguousarray(photo[:, ::-1]), flipped_box)
        gaps.append(gap(landmarker.points(photo, box), flipped[MIRROR] * (-1, 1) + (width - 1, 0)))
    assert np.median(gaps) < 2
    assert max(gaps) < 5


@pytest.mark.parametrize("size", [256, 700, 2048])
def test_size_of_the_photo_does_not_matter(landmarker: Landmarker, photos: dict[str, np.ndarray], size: int) -> None:
    for photo in list(photos.values())[1:4]:
        side = photo.shape[0]
        (box,) = landmarker.faces(photo)
        points = landmarker.points(photo, box)
        other = resize(photo, (size, size))
        (found,) = landmarker.faces(other)
        scaled = (landmarker.points(other, found) + 0.5) * side / size - 0.5
        assert gap(points, scaled) < 3


def test_small_face_is_found_by_the_later_looks(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    photo = list(photos.values())[1]
    for side, place in ((300, (500, 200)), (170, (90, 800))):
        scene = np.full((1024, 1024, 3), 128, np.uint8)
        scene[place[1] : place[1] + side, place[0] : place[0] + side] = resize(photo, (side, side))
        (box,) = landmarker.faces(scene)
        assert place[0] < (box.left + box.right) / 2 < place[0] + side
        assert place[1] < (box.top + box.bottom) / 2 < place[1] + side


def test_several_faces_and_none(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    first, second = list(photos.values())[1:3]
    both = np.hstack([resize(first, (512, 512)), resize(second, (512, 512))])
    boxes = landmarker.faces(both)
    assert len(boxes) == 2
    assert boxes[0].side >= boxes[1].side
    for blank in (np.zeros((600, 400, 3), np.uint8), np.zeros((1, 1, 3), np.uint8), np.zeros((9, 3000), np.uint8)):
        assert landmarker.faces(blank) == []


def test_frame_points_agree_with_detection(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    gaps = []
    for photo in list(photos.values())[1:9]:
        (box,) = landmarker.faces(photo)
        aligned = align.align(photo, landmarker.points(photo, box), template="ffhq", size=512)
        (found,) = landmarker.faces(aligned.image)
        gaps.append(gap(landmarker.points(aligned.image, found), landmarker.frame_points(aligned.image)))
    assert np.median(gaps) < 1.5
    assert max(gaps) < 6


def test_alignment_is_its_own_fixed_point(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    photo = list(photos.values())[1]
    a = np.deg2rad(12)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    motion = np.column_stack([turn, np.full(2, 511.5) - turn @ np.full(2, 511.5)])
    turned = cv2.warpAffine(photo, motion, photo.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    (box,) = landmarker.faces(turned)
    aligned = align.align(turned, landmarker.points(turned, box), size=512)
    eyes = align.five_points(landmarker.frame_points(aligned.image))[:2]
    assert np.allclose(eyes, [(191.5, 245), (319.5, 245)], atol=8)


def test_grey_and_colour_agree_and_the_photo_is_left_alone(
    landmarker: Landmarker, photos: dict[str, np.ndarray]
) -> None:
    photo = list(photos.values())[2]
    before = photo.copy()
    (box,) = landmarker.faces(photo)
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(landmarker.points(photo, box), landmarker.points(grey, box))
    assert np.array_equal(photo, before)


def test_pickled_landmarker_gives_the_same(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    photo = list(photos.values())[3]
    (box,) = landmarker.faces(photo)
    copy = pickle.loads(pickle.dumps(landmarker))
    assert len(pickle.dumps(landmarker)) < 1000
    assert copy.faces(photo) == [box]
    assert np.array_equal(copy.points(photo, box), landmarker.points(photo, box))


def test_box_around_follows_the_face(landmarker: Landmarker, photos: dict[str, np.ndarray]) -> None:
    photo = list(photos.values())[1]
    (box,) = landmarker.faces(photo)
    centre, side = box_around(landmarker.points(photo, box))
    assert side == pytest.approx(box.side, rel=0.25)
    assert np.allclose(centre, ((box.left + box.right) / 2, (box.top + box.bottom) / 2), atol=0.15 * box.side)


def test_missing_predictor_is_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.dat"
    broken.write_bytes(b"nothing")
    for path in (tmp_path / "absent.dat", broken):
        with pytest.raises(UserError, match="sketchprep fetch dlib-landmarks-68"):
            Landmarker(path).faces(np.zeros((64, 64), np.uint8))
