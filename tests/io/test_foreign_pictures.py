"""What lies among pictures and is none, or none that can be read, is named with the remedy."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hostile_pictures import packed

from sketchprep.errors import SampleError
from sketchprep.io import images


def tiff(tags: dict[int, tuple[int, ...]], pixels: bytes) -> bytes:
    """A TIFF of one strip; every value is a short, several stand behind the directory."""
    tags = {**tags, 273: (0,), 279: (len(pixels),)}
    behind = 8 + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, values in sorted(tags.items()):
        body = struct.pack(f"<{len(values)}H", *values)
        if tag == 273:
            body = struct.pack("<H", 4000)
        if len(body) > 4:
            body, extra = struct.pack("<I", behind + len(extra)), extra + body
        entries += struct.pack("<HHI", tag, 3, len(values)) + body.ljust(4, b"\0")
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + extra
    return head.ljust(4000, b"\0") + pixels


RGB = {256: (4,), 257: (4,), 258: (8, 8, 8), 259: (1,), 262: (2,), 277: (3,), 278: (4,)}
FLOATING = {**RGB, 258: (32, 32, 32), 339: (3, 3, 3)}


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="x"></svg>', "unsupported", ["SVG", "PNG"]),
        (b"<svg width='5'/>", "unsupported", ["SVG", "PNG"]),
        (b"%PDF-1.7\n", "not-a-picture", ["PDF", "export"]),
        (b"<!DOCTYPE html>\n<html>", "not-a-picture", ["web page", "download"]),
        (b"version https://git-lfs.github.com/spec/v1\n", "not-a-picture", ["git lfs pull"]),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "not-a-picture", ["video", "frames"]),
        (b"\0\0\0\x18ftypcrx " + bytes(40), "unsupported", ["CR3", "develop"]),
        (b"8BPS\0\1" + bytes(40), "unsupported", ["Photoshop", "PNG"]),
        (tiff({**RGB, 50706: (1, 4)}, bytes(48)), "unsupported", ["DNG", "develop"]),
        (tiff({**RGB, 254: (1,), 330: (8,)}, bytes(48)), "unsupported", ["preview", "develop"]),
        (tiff(FLOATING, bytes(192)), "unsupported", ["32-bit floating point", "8-bit"]),
        (tiff({**RGB, 258: (16, 16, 16), 284: (2,)}, bytes(96)), "unsupported", ["16-bit", "8-bit"]),
    ],
    ids=["svg", "bare svg", "pdf", "html", "lfs", "video", "cr3", "psd", "dng", "raw", "float", "planes"],
)
def test_the_sentence_names_what_it_is_and_the_remedy(data: bytes, kind: str, words: list[str]) -> None:
    with pytest.raises(SampleError) as caught:
        images.decode(data)
    assert caught.value.kind == kind
    for word in words:
        assert word in caught.value.message


def test_plain_tiffs_are_read() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(images.decode(tiff(RGB, pixels.tobytes())), pixels)
    assert np.array_equal(images.decode(packed(pixels, "TIFF")), pixels)
