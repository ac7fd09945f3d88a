"""Pictures as path, PIL image, array or tensor, single or in batches: one rule for ranges, one for axes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.io.pictures import as_image, as_images, is_batch


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)


def test_one_picture_in_every_form(photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(images.encode_png(photo))
    share = photo.astype(np.float64) / 255
    channels_first = torch.from_numpy(photo).permute(2, 0, 1)
    forms = [
        photo,
        share,
        share.astype(np.float32),
        share.astype(np.float16),
        path,
        str(path),
        Image.fromarray(photo),
        channels_first,
        channels_first / 255,
        (channels_first / 255).half(),
        (channels_first / 255).requires_grad_(),
    ]
    for form in forms:
        read = as_image(form)
        assert read.dtype == np.uint8
        assert read.flags.c_contiguous
        assert np.array_equal(read, photo)


def test_grey_stays_grey(photo: np.ndarray, tmp_path: Path) -> None:
    grey = photo[:, :, 0]
    path = tmp_path / "grey.png"
    path.write_bytes(images.encode_png(grey))
    tensor = torch.from_numpy(grey.copy())
    for form in (grey, grey[..., None], path, Image.fromarray(grey), tensor, tensor[None], grey / 255):
        assert np.array_equal(as_image(form), grey)


def test_pil_images_are_turned_and_laid_on_white(photo: np.ndarray) -> None:
    turned = Image.fromarray(photo)
    exif = turned.getexif()
    exif[0x0112] = 6
    assert np.array_equal(as_image(turned), np.rot90(photo, -1))
    clear = Image.fromarray(np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)]))
    assert as_image(clear).min() == 255
    indexed = Image.fromarray(photo).quantize(16)
    assert np.array_equal(as_image(indexed), np.array(indexed.convert("RGB")))
    with pytest.raises(UserError, match="32 bits"):
        as_image(Image.fromarray(photo[:, :, 0].astype(np.float32)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (np.linspace(-1, 1, 48).reshape(4, 4, 3), r"from -1 to 1; give \(x \+ 1\) / 2"),
        (np.linspace(0, 255, 48).reshape(4, 4, 3), r"from 0 to 255; divide it by 255"),
        (np.full((4, 4), -300.0), r"from -300 to -300; scale it"),
        (np.full((4, 4), np.nan), "from nan to nan"),
        (np.full((4, 4), np.inf), "from inf to inf"),
        (np.zeros((4, 4), np.int64), "has int64 values; give uint8 from 0 to 255, or floating point from 0 to 1"),
        (np.zeros((4, 4), np.uint16), "has uint16 values"),
        (np.zeros((4, 4), bool), "has bool values"),
        (np.zeros((3, 4, 4), np.uint8), r"the shape \(H, W, 3\), .* not \(3, 4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"not \(4, 4, 4\)"),
        (np.zeros((0, 4), np.uint8), r"not \(0, 4\)"),
        (np.zeros(4, np.uint8), r"not \(4,\)"),
        (torch.zeros(4, 5, 3), r"the shape \(3, H, W\), .* not \(4, 5, 3\)"),
        (torch.full((3, 4, 4), 2.0), r"from 2 to 2"),
        (17, "not int"),
        (None, "not NoneType"),
        ("nowhere.png", r"nowhere\.png: .*is not there"),
        (Path(__file__), "no picture"),
    ],
)
def test_what_breaks_a_rule_is_named(wrong: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        as_image(wrong)  # type: ignore[arg-type]


def test_values_a_hair_out_of_range_are_clipped() -> None:
    ramp = np.linspace(-0.0005, 1.0005, 16).reshape(4, 4)
    read = as_image(ramp)
    assert read.min() == 0
    assert read.max() == 255


def test_batches(photo: np.ndarray) -> None:
    stack = np.stack([photo, photo[::-1]])
    channels_first = torch.from_numpy(stack).permute(0, 3, 1, 2)
    for batch in (stack, channels_first, [photo, Image.fromarray(photo[::-1])], (photo, photo[::-1])):
        assert is_batch(batch)
        assert np.array_equal(np.stack(as_images(batch)), stack)
    assert not is_batch(photo)
    assert not is_batch("photo.png")
    with pytest.raises(UserError, match=r"images\[1\]: .* from 0 to 2"):
        as_images([photo, np.array([[0.0, 2.0]])])


def test_arrays_load_no_torch() -> None:
    code = (
        "import sys, numpy as np; from sketchprep.io.pictures import as_image; as_image(np.ones((4, 4)));"
        "print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
