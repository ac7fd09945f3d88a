"""Two-tone portraits."""

import cv2
import numpy as np
import pytest

from sketchprep.ops.two_tone import lower_otsu, two_tone


def scene() -> np.ndarray:
    """A black block with a bright line across it, a mid-grey disc and a dot, on light grey."""
    image = np.full((160, 200), 220, np.uint8)
    image[20:120, 10:90] = 20
    image[70:73, 10:90] = 160
    cv2.circle(image, (150, 60), 25, 130, -1, cv2.LINE_AA)
    cv2.circle(image, (150, 130), 2, 60, -1)
    return image


def test_dark_areas_are_black_and_light_ones_white():
    sketch = two_tone(scene())
    assert set(np.unique(sketch)) == {0, 255}
    assert (sketch[30:60, 20:80] == 0).all()
    assert (sketch[5:12, 100:190] == 255).all()


def test_a_bright_line_crosses_the_block_in_white():
    assert (two_tone(scene())[71, 25:75] == 255).mean() > 0.9


def test_a_middle_tone_gets_an_outline_and_no_block():
    sketch = two_tone(scene())
    assert (sketch[50:70, 140:160] == 255).all()
    y, x = np.indices(sketch.shape)
    rim = np.abs(np.hypot(x - 150, y - 60) - 24) < 2
    assert (sketch[rim] == 0).mean() > 0.4


def test_short_lines_vanish():
    assert (two_tone(scene())[122:138, 142:158] == 255).all()
    assert (two_tone(scene(), min_length=0.0)[122:138, 142:158] == 0).any()


def test_no_blocks_without_darkness():
    assert (two_tone(scene(), darkness=0.0)[35:55, 25:65] == 255).all()


@pytest.mark.parametrize("level", [0, 40, 255])
def test_a_constant_picture_is_blank_paper(level):
    assert (two_tone(np.full((40, 50, 3), level, np.uint8)) == 255).all()


def test_three_tones_are_split_between_the_darker_two():
    plane = np.repeat(np.array([0.1, 0.5, 0.9], np.float32), 300).reshape(30, 30)
    assert 0.1 < lower_otsu(plane) < 0.5


def test_grey_equals_replicated_rgb():
    assert np.array_equal(two_tone(scene()), two_tone(np.dstack([scene()] * 3)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1, 3), (37, 50, 3)])
def test_any_size_and_the_input_stays(shape):
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    sketch = two_tone(image)
    assert sketch.shape == shape[:2]
    assert sketch.dtype == np.uint8
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigma_line", 0),
        ("low", -1),
        ("low", 0.5),
        ("high", 2),
        ("min_length", -1),
        ("tone_sigma", 0),
        ("tone_area", -1),
        ("darkness", -1),
    ],
)
def test_refuses_what_is_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        two_tone(scene(), **{name: value})


def test_a_shadow_on_a_face_is_no_block_if_the_landmarks_are_known() -> None:
    """A face lit from the left: its dark half is black by tone, but not by contrast to its surroundings."""
    image = np.full((256, 256), 230, np.uint8)
    cv2.ellipse(image, (128, 128), (70, 90), 0, 0, 360, 150, -1)
    image[:, 128:][image[:, 128:] == 150] = 40
    image = cv2.GaussianBlur(image, (0, 0), 6)
    points = np.full((68, 2), 128.0)
    along = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([128 + 70 * np.cos(along), 128 + 90 * np.sin(along)], axis=1)
    points[17:27] = np.stack([128 + 60 * np.cos(np.linspace(np.pi, 0, 10)), np.full(10, 80)], axis=1)
    points[36:42], points[42:48] = (98, 110), (158, 110)
    shadow = (slice(100, 180), slice(150, 180))
    assert (two_tone(image)[shadow] == 0).mean() > 0.9
    assert (two_tone(image, landmarks=points)[shadow] == 0).mean() < 0.1
    outside = two_tone(image, landmarks=points)[:20]
    assert (outside == 255).all()
