"""Photocopy: GEGL's numbers where its program is installed, and the behaviour one can state without it."""

import os
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from sketchprep.core import resources
from sketchprep.ops.photocopy import photocopy

SETTINGS = [
    {},
    {"mask_radius": 20.0, "sharpness": 0.8},
    {"mask_radius": 3.0, "sharpness": 0.2, "black": 0.5, "white": 0.5},
    {"mask_radius": 15.0, "sharpness": 0.3, "white": 0.4},
    {"mask_radius": 30.0, "sharpness": 0.1, "white": 0.1},
    {"mask_radius": 0.0, "sharpness": 1.0},
]


def disc(size: int = 96, radius: int = 24) -> np.ndarray:
    """A dark disc on white."""
    return cv2.circle(np.full((size, size), 255, np.uint8), (size // 2, size // 2), radius, 30, -1, cv2.LINE_AA)


def pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (90, 130, 3), dtype=np.uint8)
    return {
        "disc": disc(),
        "flat": np.full((40, 50, 3), 128, np.uint8),
        "black": np.zeros((20, 20), np.uint8),
        "white": np.full((20, 20), 255, np.uint8),
        "ramp": np.tile(np.arange(256, dtype=np.uint8), (60, 1)),
        "noise": noise,
        "dark noise": rng.integers(0, 30, (60, 70), dtype=np.uint8),
        "blurred noise": cv2.GaussianBlur(noise, (0, 0), 3),
        "5x7": rng.integers(0, 256, (5, 7, 3), dtype=np.uint8),
        "row": rng.integers(0, 256, (1, 40), dtype=np.uint8),
        "column": rng.integers(0, 256, (40, 1), dtype=np.uint8),
        "pixel": np.full((1, 1, 3), 90, np.uint8),
    }


def portraits() -> list[np.ndarray]:
    paths = sorted(resources.resource("data/portraits").glob("*.jpg"))[::8]
    return [cv2.imread(str(path))[..., ::-1].copy() for path in paths]


def gegl_photocopy(image: np.ndarray, folder, **settings: float) -> np.ndarray:
    """What the program makes of it, as float levels of 255 with 16-bit steps."""
    source, target = folder / "in.png", folder / "out.png"
    cv2.imwrite(str(source), image[..., ::-1] if image.ndim == 3 else image)
    options = [f"{name.replace('_', '-')}={value}" for name, value in settings.items()]
    command = ["gegl", str(source), "-o", str(target), "--", "photocopy", *options]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    result = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    return (result if result.ndim == 2 else result[..., 0]) / 257.0


@pytest.fixture
def gegl():
    if shutil.which("gegl") is None:
        if "gegl" in os.environ.get("SKETCHPREP_REQUIRE", ""):
            pytest.fail("SKETCHPREP_REQUIRE names gegl, but there is no gegl program")
        pytest.skip("no gegl program (Debian package gegl)")
    return gegl_photocopy


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equals_gegl_on_drawn_pictures(gegl, tmp_path, settings):
    for name, image in pictures().items():
        off = np.abs(photocopy(image, **settings) - gegl(image, tmp_path, **settings))
        assert (off <= 1.0).mean() >= 0.99, name


@pytest.mark.parametrize("settings", SETTINGS[:5], ids=str)
def test_equals_gegl_on_portraits(gegl, tmp_path, settings):
    faces = portraits()
    assert len(faces) >= 3
    for image in [*faces, cv2.cvtColor(faces[0], cv2.COLOR_RGB2GRAY)]:
        off = np.abs(photocopy(image, **settings) - gegl(image, tmp_path, **settings))
        assert (off <= 1.0).mean() >= 0.99


@pytest.mark.parametrize("variant", ["gegl", "classic"])
def test_a_dark_disc_becomes_a_ring(variant):
    sketch = photocopy(disc(), variant=variant, mask_radius=8.0)
    y, x = np.indices(sketch.shape) - 48
    distance = np.hypot(x, y)
    rim = sketch[np.abs(distance - 21) < 2].mean()
    assert rim < 90
    assert sketch[distance > 34].min() > 250
    if variant == "classic":
        assert sketch[distance < 8].mean() > rim + 60


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (33, 70), (70, 33), (1, 1, 3), (31, 200, 3)])
@pytest.mark.parametrize("variant", ["gegl", "classic"])
def test_keeps_shape_dtype_and_input(shape, variant):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    sketch = photocopy(image, variant=variant)
    assert sketch.shape == shape[:2]
    assert sketch.dtype == np.uint8
    assert np.array_equal(image, before)


@pytest.mark.parametrize("variant", ["gegl", "classic"])
def test_same_answer_whatever_came_before(variant):
    first, other = pictures()["noise"], pictures()["disc"]
    expected = photocopy(first, variant=variant)
    photocopy(other, variant=variant)
    kept = expected.copy()
    assert np.array_equal(photocopy(first, variant=variant), kept)
    assert np.array_equal(expected, kept)


@pytest.mark.parametrize("variant", ["gegl", "classic"])
def test_grey_equals_replicated_rgb(variant):
    grey = cv2.GaussianBlur(pictures()["noise"][..., 0], (0, 0), 2)
    colour = photocopy(np.dstack([grey] * 3), variant=variant)
    assert np.abs(photocopy(grey, variant=variant).astype(int) - colour).max() <= 1


@pytest.mark.parametrize("variant", ["gegl", "classic"])
def test_mirror_commutes_away_from_the_late_border(variant):
    image = cv2.GaussianBlur(pictures()["noise"], (0, 0), 2)
    image = cv2.copyMakeBorder(image, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    for axis in (0, 1):
        mirrored = np.flip(photocopy(np.flip(image, axis).copy(), variant=variant), axis)
        assert np.abs(mirrored.astype(int) - photocopy(image, variant=variant)).max() <= 1


@pytest.mark.parametrize("level", [3, 60, 128, 240])
def test_constant_picture(level):
    image = np.full((50, 60), level, np.uint8)
    assert (photocopy(image, variant="classic") == 255).all()
    sketch = photocopy(image)
    assert sketch.min() == sketch.max()
    assert sketch[0, 0] > level


def test_white_stays_white():
    for variant in ("gegl", "classic"):
        assert (photocopy(np.full((20, 30), 255, np.uint8), variant=variant) == 255).all()


@pytest.mark.parametrize("variant", ["gegl", "classic"])
def test_larger_surroundings_give_more_ink(variant):
    image = disc(160, 50)
    means = [photocopy(image, variant=variant, mask_radius=radius).mean() for radius in (4.0, 12.0, 40.0)]
    assert means[0] > means[1] > means[2]


def test_black_zero_blackens_what_is_dark():
    assert photocopy(disc(), black=0.0).min() == 0
    assert photocopy(disc(), black=0.0).mean() < photocopy(disc()).mean()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mask_radius", -1),
        ("mask_radius", 51),
        ("sharpness", 1.1),
        ("black", -0.1),
        ("white", 2),
        ("threshold", 0),
        ("threshold", float("nan")),
        ("variant", "xerox"),
    ],
)
def test_refuses_what_is_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        photocopy(disc(), **{name: value})


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_refuses_other_arrays(image):
    with pytest.raises(ValueError, match="image"):
        photocopy(image)
