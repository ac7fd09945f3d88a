"""The mark in sketches and sheets changes no pixel, and nothing else bears it."""

import numpy as np
import pytest
from PIL import Image

from sketchprep.io import images
from sketchprep.io.contact_sheet import save_picture
from sketchprep.io.marks import is_marked, mark

PICTURE = np.random.default_rng(0).integers(0, 255, (24, 31, 3), np.uint8)


@pytest.mark.parametrize("encode", [images.encode_png, images.encode_jpeg])
def test_marked_pictures_decode_to_the_same_pixels(encode):
    plain = encode(PICTURE)
    marked = mark(plain)
    assert (is_marked(plain), is_marked(marked)) == (False, True)
    assert (images.decode(marked) == images.decode(plain)).all()
    assert not any(is_marked(marked[:cut]) for cut in range(40))


def test_the_mark_is_readable_by_others(tmp_path):
    (tmp_path / "a.png").write_bytes(mark(images.encode_png(PICTURE)))
    assert Image.open(tmp_path / "a.png").text == {"Software": "sketchprep sketch"}
    save_picture(PICTURE, tmp_path / "b.jpg")
    assert Image.open(tmp_path / "b.jpg").info["comment"] == b"sketchprep contact sheet"


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\xff\xff"]
)
def test_stumps_bear_no_mark(data):
    assert not is_marked(data)
