"""MediaPipe's detector and mesh on the bundled portraits: upright, turned, small, several, none."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from portraits import FRONTAL, portrait

import sketchprep
from sketchprep.core import weights
from sketchprep.errors import UserError
from sketchprep.ops.mesh_landmarks import landmarks_68
from sketchprep.sketching.face_evidence import check_face, check_place, check_upright, gather_evidence
from sketchprep.sketching.face_mesh import FACE
from sketchprep.sketching.landmarks import Landmarker
from sketchprep.sketching.mediapipe import MediaPipeLandmarker, _face, box_of

pytestmark = pytest.mark.integration  # the models come in a wheel of 36 MB


@pytest.fixture(scope="module")
def landmarker() -> MediaPipeLandmarker:
    return MediaPipeLandmarker(weights.path("mediapipe-face-detector"), weights.path("mediapipe-face-mesh"))


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    paths = [portrait(name) for name in FRONTAL if portrait(name).exists()]
    return [np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]) for path in paths[:4]]


def eye_distance(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0)))


def test_landmarks_agree_with_dlibs(landmarker: MediaPipeLandmarker, photos: list[np.ndarray]) -> None:
    dlib = Landmarker(weights.path("dlib-landmarks-68"))
    for photo in photos:
        mesh, box = landmarker.meshes(photo).faces[0], dlib.faces(photo)[0]
        theirs = dlib.points(photo, box)
        apart = np.linalg.norm(landmarks_68(mesh.points) - theirs, axis=1) / eye_distance(theirs)
        assert apart[36:48].mean() < 0.04  # eyes
        assert apart.mean() < 0.08
        assert abs(mesh.roll) < 12


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_heads_are_found_as_turned(
    landmarker: MediaPipeLandmarker, photos: list[np.ndarray], quarters: int
) -> None:
    for photo in photos:
        upright = landmarker.meshes(photo).faces[0]
        turned = landmarker.meshes(np.ascontiguousarray(np.rot90(photo, -quarters))).faces[0]
        degrees = (turned.roll - upright.roll - 90 * quarters + 180) % 360 - 180
        assert abs(degrees) < 6


def test_mirroring_mirrors_the_landmarks(landmarker: MediaPipeLandmarker, photos: list[np.ndarray]) -> None:
    from sketchprep.ops.pose import MIRROR

    for photo in photos:
        points = landmarker.points(photo, landmarker.faces(photo)[0])
        flipped = np.ascontiguousarray(photo[:, ::-1])
        mirrored = landmarker.points(flipped, landmarker.faces(flipped)[0])[list(MIRROR)]
        mirrored[:, 0] = photo.shape[1] - 1 - mirrored[:, 0]
        assert np.linalg.norm(points - mirrored, axis=1).mean() < 0.05 * eye_distance(points)


def test_a_second_face_of_a_third_of_the_first_is_seen(
    landmarker: MediaPipeLandmarker, photos: list[np.ndarray]
) -> None:
    for at, photo in enumerate(photos):
        both, other = photo.copy(), photos[at - 1]
        side = round(0.35 * min(photo.shape[:2]))
        both[:side, -side:] = cv2.resize(other, (side, side), interpolation=cv2.INTER_AREA)
        boxes = landmarker.faces(both)
        assert any(box.left > both.shape[1] - side and box.bottom < side for box in boxes[1:])


def test_a_head_on_its_side_is_one_face(landmarker: MediaPipeLandmarker, photos: list[np.ndarray]) -> None:
    for photo in photos:
        for quarters in range(4):
            assert len(landmarker.faces(np.ascontiguousarray(np.rot90(photo, quarters)))) == 1


def test_a_grey_photo_is_looked_at_too(landmarker: MediaPipeLandmarker, photos: list[np.ndarray]) -> None:
    points = landmarker.largest(cv2.cvtColor(photos[0], cv2.COLOR_RGB2GRAY))
    coloured = landmarker.largest(photos[0])
    assert points is not None
    assert coloured is not None
    assert np.linalg.norm(points - coloured, axis=1).mean() < 0.05 * eye_distance(coloured)


def test_a_face_of_48_pixels(landmarker: MediaPipeLandmarker, photos: list[np.ndarray]) -> None:
    for photo in photos:
        box = landmarker.faces(photo)[0]
        scale = 48 / box.side
        small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        wide = np.full((400, 600, 3), 127, np.uint8)
        wide[150 : 150 + small.shape[0], 200 : 200 + small.shape[1]] = small[:250]
        found = landmarker.faces(wide)
        assert found
        assert abs(found[0].side - 48) < 10


def test_where_there_is_no_face_there_is_none(landmarker: MediaPipeLandmarker) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 400, 3)).astype(np.uint8)
    wheel = np.full((512, 512, 3), 200, np.uint8)
    cv2.circle(wheel, (256, 256), 200, (30, 30, 30), 60)
    cv2.circle(wheel, (256, 256), 60, (90, 90, 90), -1)
    for picture in (noise, wheel, np.zeros((64, 64, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)):
        assert landmarker.faces(picture) == []


def test_it_travels_to_other_processes(landmarker: MediaPipeLandmarker, photos: list[np.ndarray]) -> None:
    again = pickle.loads(pickle.dumps(landmarker))
    mesh, same = landmarker.meshes(photos[0]).faces[0], again.meshes(photos[0]).faces[0]
    np.testing.assert_array_equal(mesh.points, same.points)
    assert mesh.evidence >= FACE


def test_a_file_that_is_no_network(tmp_path, photos: list[np.ndarray]) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + b"\x00" * 100)
    with pytest.raises(UserError, match="sketchprep fetch mediapipe-face-detector"):
        MediaPipeLandmarker(tmp_path / "broken.tflite", tmp_path / "broken.tflite").faces(photos[0])


def test_a_face_in_its_frame_is_known_without_a_search(
    landmarker: MediaPipeLandmarker, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    framed = [sketchprep.align(photo, size=1024).image for photo in photos]
    found = [gather_evidence(landmarker, photo, limit=FACE, several=False, frame="ffhq") for photo in framed]
    turned = np.ascontiguousarray(framed[0][::-1, ::-1])
    upside_down = gather_evidence(landmarker, turned, limit=FACE, several=False, frame="ffhq")
    assert check_upright(upside_down) is not None
    monkeypatch.setattr(landmarker.detector, "scan", lambda *_: pytest.fail("searched"))
    for photo, searched in zip(framed, found, strict=True):
        again = gather_evidence(landmarker, photo, limit=FACE, several=False, frame="ffhq")
        assert check_face(again) is check_upright(again) is check_place(again, "ffhq") is None
        assert np.array_equal(again.points, searched.points)
        theirs = landmarks_68(landmarker.mesh.fit(photo, _face(box_of(again.faces[0]))).points)
        assert np.linalg.norm(again.points - theirs, axis=1).mean() < 0.03 * eye_distance(theirs), (
            "in the photo's pixels"
        )
