"""Windows and cutting along them."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.ops import face_parts, helen_labels
from sketchprep.ops.face_parts import Window
from sketchprep.ops.labels import CLASSES

FIVE_512 = np.array([(193, 247), (319, 247), (256, 320), (210, 378), (302, 378)], float)


def noise(size: int, channels: int | None = None) -> np.ndarray:
    shape = (size, size) if channels is None else (size, size, channels)
    return np.random.default_rng(size).integers(0, 200, shape, dtype=np.uint8)


def scaled(points: np.ndarray, size: int) -> np.ndarray:
    return (points + 0.5) * (size / 512) - 0.5


def test_windows_are_those_of_the_released_code() -> None:
    assert face_parts.windows(512) == {
        "left_eye": (108, 156, 128, 128),
        "right_eye": (255, 156, 128, 128),
        "nose": (182, 232, 160, 160),
        "mouth": (169, 301, 192, 192),
        "remainder": (0, 0, 512, 512),
    }


@pytest.mark.parametrize("size", [64, 128, 256, 512, 1024])
def test_windows_scale(size: int) -> None:
    for part, window in face_parts.windows(size).items():
        full = face_parts.windows(512)[part]
        assert window.width * 512 == full.width * size
        assert window.height == window.width
        assert (window.x, window.y) == (full.x * size // 512, full.y * size // 512)
        assert 0 <= window.x <= size - window.width


@pytest.mark.parametrize("size", [0, -64, 100, 500])
def test_sizes_that_do_not_scale_exactly_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 64"):
        face_parts.windows(size)
    with pytest.raises(ValueError, match="multiple of 64"):
        face_parts.apdrawing_windows(FIVE_512, size=size)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_a_usual_face_gets_the_fixed_windows(size: int) -> None:
    assert face_parts.landmark_windows(scaled(FIVE_512, size), size=size) == face_parts.windows(size)


def test_landmark_windows_follow_their_part_alone() -> None:
    points = FIVE_512.copy()
    points[0] += (10, -7)
    points[3:] += (-4, 12)
    moved, fixed = face_parts.landmark_windows(points), face_parts.windows()
    assert moved["left_eye"] == (118, 149, 128, 128)
    assert moved["mouth"] == (165, 313, 192, 192)
    assert {p: moved[p] for p in ("right_eye", "nose", "remainder")} == {
        p: fixed[p] for p in ("right_eye", "nose", "remainder")
    }


def test_apdrawing_windows_are_those_of_the_paper() -> None:
    points = np.array([(194, 248), (314, 249), (261, 312), (209, 368), (302, 371)], float)
    assert face_parts.apdrawing_windows(points) == {
        "left_eye": (194 - 56, 240 - 40, 112, 80),
        "right_eye": (314 - 56, 241 - 40, 112, 80),
        "nose": (261 - 48, 296 - 48, 96, 96),
        "mouth": (255 - 64, 369 - 40, 128, 80),
    }


@pytest.mark.parametrize("size", [128, 256, 512])
def test_apdrawing_windows_scale(size: int) -> None:
    found = face_parts.apdrawing_windows(scaled(FIVE_512, size), size=size)
    for part, window in face_parts.apdrawing_windows(FIVE_512).items():
        assert (found[part].width, found[part].height) == (window.width * size // 512, window.height * size // 512)
        assert found[part].x == pytest.approx(window.x * size / 512, abs=1)
        assert found[part].y == pytest.approx(window.y * size / 512, abs=1)


@pytest.mark.parametrize("place", [(-300, -300), (900, 40), (511, 511), (0, 700)])
@pytest.mark.parametrize("size", [128, 512])
def test_windows_stay_inside_the_frame(place: tuple[int, int], size: int) -> None:
    points = np.full((5, 2), place, float) * (size / 512)
    image = noise(size)
    for find in (face_parts.apdrawing_windows, face_parts.landmark_windows):
        usual = find(scaled(FIVE_512, size), size=size)
        for part, window in find(points, size=size).items():
            assert (window.width, window.height) == (usual[part].width, usual[part].height)
            assert face_parts.crop(image, window).shape == (window.height, window.width)


def test_landmarks_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="68"):
        face_parts.landmark_windows(np.zeros((21, 2)))


@pytest.mark.parametrize("size", [128, 256, 512])
@pytest.mark.parametrize("channels", [None, 3])
def test_crop_then_paste_is_the_identity(size: int, channels: int | None) -> None:
    image = noise(size, channels)
    before = image.copy()
    for window in face_parts.windows(size).values():
        patch = face_parts.crop(image, window)
        np.testing.assert_array_equal(face_parts.paste(image, patch, window), before)
        other = face_parts.paste(image, 255 - patch, window)
        np.testing.assert_array_equal(face_parts.crop(other, window), 255 - patch)
        outside = face_parts.outside(image.shape, [window])
        np.testing.assert_array_equal(other[outside], before[outside])
        patch[:] = 7
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_remainder_is_white_in_the_windows_and_only_there(size: int) -> None:
    image = noise(size)
    before = image.copy()
    four = [w for part, w in face_parts.windows(size).items() if part != "remainder"]
    rest = face_parts.remainder(image, four)
    kept = np.ones((size, size), bool)
    for x, y, width, height in four:
        kept[y : y + height, x : x + width] = False
    assert (rest[~kept] == 255).all()
    np.testing.assert_array_equal(rest[kept], before[kept])
    np.testing.assert_array_equal(image, before)


def test_a_window_outside_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves"):
        face_parts.crop(noise(64), Window(60, 0, 8, 8))
    with pytest.raises(ValueError, match="patch"):
        face_parts.paste(noise(64), noise(8), Window(0, 0, 9, 8))


def labels(**boxes: tuple[int, int, int, int]) -> np.ndarray:
    picture = np.zeros((256, 256), np.uint8)
    for name, (x0, y0, x1, y1) in boxes.items():
        picture[y0:y1, x0:x1] = CLASSES.index(name)
    return picture


LEFT, RIGHT = (80, 110, 100, 120), (150, 110, 170, 120)


@pytest.mark.parametrize(("left", "right"), [("r_eye", "l_eye"), ("l_eye", "r_eye")])
def test_eyes_are_told_apart_by_position_whatever_the_file_called_them(left: str, right: str) -> None:
    found = helen_labels.helen_labels(labels(skin=(40, 40, 220, 230), **{left: LEFT, right: RIGHT}))
    assert (found[110:120, 80:100] == helen_labels.HELEN.index("left_eye")).all()
    assert (found[110:120, 150:170] == helen_labels.HELEN.index("right_eye")).all()


@pytest.mark.parametrize("name", ["l_eye", "r_eye"])
def test_a_single_eye_is_compared_with_the_middle_of_the_face(name: str) -> None:
    # The face fills the right half: the eye at x 150 to 170 lies left in it.
    turned = labels(skin=(140, 40, 256, 230), nose=(190, 120, 210, 160), **{name: RIGHT})
    assert helen_labels.helen_labels(turned)[115, 160] == helen_labels.HELEN.index("left_eye")
    assert helen_labels.helen_labels(labels(**{name: RIGHT}))[115, 160] == helen_labels.HELEN.index("right_eye")


def test_mirroring_the_picture_mirrors_the_labels() -> None:
    picture = labels(
        skin=(40, 40, 220, 230), r_eye=LEFT, l_eye=RIGHT, r_brow=(75, 90, 105, 96), l_brow=(145, 90, 175, 96)
    )
    swap = np.arange(11, dtype=np.uint8)
    swap[[2, 3, 4, 5]] = [3, 2, 5, 4]
    np.testing.assert_array_equal(
        helen_labels.helen_labels(picture[:, ::-1]), swap[helen_labels.helen_labels(picture)][:, ::-1]
    )


def test_every_class_has_its_helen_label() -> None:
    column = np.arange(19, dtype=np.uint8)
    middle = dict(zip(CLASSES, helen_labels.helen_labels(column[None]).ravel().tolist(), strict=True))
    expected = {"skin": 1, "nose": 6, "u_lip": 7, "mouth": 8, "l_lip": 9, "hair": 10}
    sided = {"l_eye", "r_eye", "l_brow", "r_brow"}
    assert {n: v for n, v in middle.items() if n not in sided} == {
        n: expected.get(n, 0) for n in CLASSES if n not in sided
    }
    with pytest.raises(ValueError, match="classes"):
        helen_labels.helen_labels(np.full((4, 4), 19, np.uint8))


def test_mask_windows_surround_their_labels() -> None:
    mapped = helen_labels.helen_labels(
        labels(r_eye=LEFT, l_eye=RIGHT, u_lip=(100, 180, 150, 184), l_lip=(100, 190, 150, 201))
    )
    found = helen_labels.mask_windows(mapped)
    assert found["left_eye"] == (89 - 24, 114 - 16, 48, 32)
    assert found["right_eye"] == (159 - 24, 114 - 16, 48, 32)
    assert found["mouth"] == (124 - 72, 190 - 40, 144, 80)
    assert found["skin"] == found["hair"] == (0, 0, 256, 256)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_absent_labels_get_the_fall_back_centres(size: int) -> None:
    found = helen_labels.mask_windows(np.zeros((size, size), np.uint8))
    share = size / 256
    assert np.divide(found["left_eye"], share).tolist() == [96 - 24, 116 - 16, 48, 32]
    assert np.divide(found["right_eye"], share).tolist() == [160 - 24, 116 - 16, 48, 32]
    assert np.divide(found["mouth"], share).tolist() == [128 - 72, 184 - 40, 144, 80]


def test_mask_windows_stay_inside_the_frame() -> None:
    found = helen_labels.mask_windows(helen_labels.helen_labels(labels(r_eye=(0, 0, 4, 4), mouth=(250, 250, 256, 256))))
    assert found["left_eye"] == (0, 0, 48, 32)
    assert found["mouth"] == (256 - 144, 256 - 80, 144, 80)
