"""The frames: a drawn face lands where FFHQ and APDrawing want it, however the photo was held."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sketchprep.errors import SampleError
from sketchprep.ops import align
from sketchprep.ops.pose import MIRROR

EYES, MOUTH = np.array([(240.0, 300.0), (340.0, 300.0)]), np.array([(255.0, 410.0), (325.0, 410.0)])


def face_landmarks() -> np.ndarray:
    """Place 68 points like a frontal face: eyes 100 px apart, the mouth 110 px below them."""
    points = np.zeros((68, 2))
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.array([290, 330]) + np.stack([110 * np.cos(angles), 150 * np.sin(angles)], -1)
    points[17:27] = np.stack([np.linspace(200, 380, 10), np.full(10, 275.0)], -1)
    points[27:31] = np.stack([np.full(4, 290.0), np.linspace(305, 355, 4)], -1)
    points[31:36] = np.stack([np.linspace(272, 308, 5), np.full(5, 365.0)], -1)
    ring = np.array([(-18, 0), (-8, -7), (8, -7), (18, 0), (8, 7), (-8, 7)])
    points[36:42], points[42:48] = EYES[0] + ring, EYES[1] + ring
    points[48:68] = np.array([290, 410]) + np.stack([35 * np.cos(np.arange(20)), 12 * np.sin(np.arange(20))], -1)
    points[[48, 54]] = MOUTH
    return points


def face_picture() -> np.ndarray:
    """Draw smooth blobs at the landmarks on a gently shaded ground."""
    y, x = np.mgrid[0:640, 0:600]
    picture = np.stack([150 + 0.1 * x, 170 - 0.1 * y + 0.05 * x, 120 + 0.12 * y], -1)
    for px, py in [*EYES, *MOUTH, (290, 355)]:
        picture -= 90 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 9.0**2))[:, :, None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def darkest(image: np.ndarray, around: tuple[float, float], radius: int = 40) -> np.ndarray:
    """Find the middle of a dark blob (x, y) near a place, by its centre of mass."""
    x0, y0 = int(around[0]) - radius, int(around[1]) - radius
    window = image[y0 : y0 + 2 * radius, x0 : x0 + 2 * radius].mean(axis=2)
    weight = np.clip(window.max() - 30 - window, 0, None)
    v, u = np.mgrid[0 : 2 * radius, 0 : 2 * radius]
    return np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum() + (x0, y0)


def moved(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    a = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return np.column_stack([linear, np.array([290, 340]) - linear @ np.array([290, 340]) + shift])


def test_ffhq_frame_puts_a_frontal_face_where_celeba_hq_does() -> None:
    result = align.align(face_picture(), face_landmarks(), template="ffhq", size=512)
    # Frame edges lie half a pixel outside the first pixel's centre, hence 191.5 where the algebra says 192.
    points = align.five_points(align.transform_points(result.matrix, face_landmarks()))
    assert np.allclose(points[0], (191.5, 241.4), atol=0.05)
    assert np.allclose(points[1], (319.5, 241.4), atol=0.05)
    assert np.allclose(points[3:].mean(axis=0), (255.5, 382.2), atol=0.05)
    assert np.allclose(darkest(result.image, (192, 242)), points[0], atol=0.6)
    assert np.allclose(darkest(result.image, (320, 242)), points[1], atol=0.6)
    assert result.scale == pytest.approx(512 / 400)


def test_long_face_is_measured_by_its_length() -> None:
    points = face_landmarks()
    points[[48, 54], 1] += 60
    quad = align.ffhq_quad(points)
    assert np.linalg.norm(quad[1] - quad[0]) == pytest.approx(3.6 * 170)


def test_turned_head_follows_eyes_and_mouth_alike() -> None:
    # The mouth moved sideways by its own distance from the eyes, 110 px, turns the axis by half of what the line turns.
    points = face_landmarks()
    points[48:68, 0] += 110
    x, y = np.diff(align.ffhq_quad(points)[:2], axis=0)[0]
    assert np.rad2deg(np.arctan2(y, x)) == pytest.approx(np.rad2deg(np.arctan2(-110, 100 + 110)))


@pytest.mark.parametrize("template", ["ffhq", "apdrawing"])
@pytest.mark.parametrize(
    ("degrees", "scale", "shift"), [(0, 1, (13.0, -8.0)), (25, 1, (0, 0)), (-40, 0.8, (5, 5)), (8, 1.2, (-3.3, 2.7))]
)
def test_motion_of_the_photo_leaves_the_frame_alone(
    template: str, degrees: float, scale: float, shift: tuple[float, float]
) -> None:
    picture, points = face_picture(), face_landmarks()
    motion = moved(degrees, scale, shift)
    other = cv2.warpAffine(picture, motion, (600, 640), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    a = align.align(picture, points, template=template, size=256)
    b = align.align(other, align.transform_points(motion, points), template=template, size=256)
    # The inner part, which shows the photo itself in both.
    gap = np.abs(a.image.astype(int) - b.image)[70:210, 70:186]
    assert gap.mean() < 1.5
    assert gap.max() < 16


@pytest.mark.parametrize("template", ["ffhq", "apdrawing"])
def test_mirrored_photo_gives_the_mirrored_frame(template: str) -> None:
    picture, points = face_picture(), face_landmarks()
    points[48:55] += (4, 2)
    flipped = points[MIRROR] * (-1, 1) + (599, 0)
    a = align.align(picture, points, template=template, size=256)
    b = align.align(np.ascontiguousarray(picture[:, ::-1]), flipped, template=template, size=256)
    assert np.abs(a.image.astype(int) - b.image[:, ::-1]).mean() < 1.2
    assert a.outside == pytest.approx(b.outside, abs=2e-3)


def test_apdrawing_template_is_met_by_its_own_points() -> None:
    points = face_landmarks()
    target = align.APDRAWING_POINTS
    for group, place in zip(([*range(36, 42)], [*range(42, 48)], [30], [48], [54]), target, strict=True):
        points[group] += place - points[group].mean(axis=0)
    turned = align.transform_points(moved(20, 1.7, (30, -20)), points)
    matrix = align.apdrawing_matrix(turned, 512)
    assert np.allclose(align.five_points(align.transform_points(matrix, turned)), target, atol=1e-6)
    half = align.five_points(align.transform_points(align.apdrawing_matrix(turned, 256), turned))
    assert np.allclose((half + 0.5) * 2 - 0.5, target, atol=1e-6)


def test_apdrawing_fits_by_least_squares_without_stretching() -> None:
    matrix = align.apdrawing_matrix(face_landmarks(), 512)
    assert matrix[0, 0] == pytest.approx(matrix[1, 1])
    assert matrix[0, 1] == pytest.approx(-matrix[1, 0])
    source, target = align.five_points(face_landmarks()), align.APDRAWING_POINTS
    best = np.sum((align.transform_points(matrix, source) - target) ** 2)
    for change in ([[0.01, 0, 0], [0, 0.01, 0]], [[0, -0.01, 0], [0.01, 0, 0]], [[0, 0, 1], [0, 0, 0]]):
        assert np.sum((align.transform_points(matrix + np.array(change), source) - target) ** 2) > best


def test_crop_that_leaves_the_photo_is_filled_and_counted() -> None:
    picture, points = face_picture()[230:470, 180:400], face_landmarks() - (180, 230)
    ffhq = align.align(picture, points, template="ffhq", size=256)
    assert ffhq.outside > 0.5
    assert ffhq.image.min() > 20
    white = align.align(picture, points, template="apdrawing", size=256)
    assert (white.image[0] == 255).all()
    whole = align.align(face_picture(), face_landmarks(), template="ffhq", size=256)
    inside = np.abs(ffhq.image.astype(int) - whole.image)[85:185, 85:170]
    assert inside.max() <= 3


def test_drawing_follows_its_photo() -> None:
    picture, points = face_picture(), face_landmarks()
    drawing = np.where(picture.mean(axis=2) < 110, 0, 255).astype(np.uint8)
    result = align.align(picture, points, size=512)
    drawn = align.warp(drawing, result.matrix, 512, border="white")
    assert drawn.shape == (512, 512)
    assert drawn[241, 191] < 60
    assert drawn[241, 256] == 255


def test_none_is_the_whole_picture_or_its_middle() -> None:
    picture = face_picture()
    square = picture[20:620]
    result = align.align(square, None, template="none", size=600)
    assert np.array_equal(result.image, square)
    assert result.scale == 1
    assert np.allclose(result.matrix, [[1, 0, 0], [0, 1, 0]])
    wide = align.align(picture, None, template="none", size=300)
    assert np.allclose(align.transform_points(wide.matrix, np.array([(-0.5, 19.5)])), (-0.5, -0.5))
    assert np.abs(wide.image.astype(int) - align.warp(picture, wide.matrix, 300)).max() <= 1


@pytest.mark.parametrize("template", ["ffhq", "apdrawing"])
def test_points_without_a_face_are_refused(template: str) -> None:
    picture = np.zeros((50, 50, 3), np.uint8)
    for points in (np.zeros((68, 2)), np.full((68, 2), np.nan)):
        with pytest.raises(SampleError) as caught:
            align.align(picture, points, template=template)
        assert caught.value.kind == "landmarks"
    with pytest.raises(ValueError, match="landmarks"):
        align.align(picture, None, template=template)
