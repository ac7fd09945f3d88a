"""Damaged pictures are errors of their own kind, harmless warnings are not, and nothing goes raw to the terminal."""

from __future__ import annotations

import io
import os
import signal
import struct
import time
import zlib

import numpy as np
import pytest
from hostile_pictures import cut_and_closed, packed, png_chunks, png_of, scan_start, with_hole, with_segments
from PIL import Image
from portraits import PORTRAITS, portrait

from sketchprep.errors import SampleError
from sketchprep.io import images
from sketchprep.io.decoder_output import caught_output

ENCODINGS = {
    "baseline": {"quality": 90},
    "full chroma": {"quality": 92, "subsampling": 0},
    "optimised": {"quality": 90, "optimize": True},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_rows": 1},
}


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.open(portrait("female-13")).convert("RGB").resize((384, 384))


def kind_of(data: bytes) -> str:
    kinds = set()
    for read in (images.decode, images.decode_gray):
        with pytest.raises(SampleError) as caught:
            read(data)
        assert not caught.value.rejected
        kinds.add(caught.value.kind)
    assert len(kinds) == 1
    return kinds.pop()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_jpeg_cut_and_closed_with_an_end_marker(
    photo: Image.Image, encoding: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    assert kind_of(cut_and_closed(packed(photo, "JPEG", **ENCODINGS[encoding]), share)) == "corrupt"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_jpeg_with_a_hole_of_zeros(
    photo: Image.Image, encoding: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    assert kind_of(with_hole(packed(photo, "JPEG", **ENCODINGS[encoding]), 4096, share)) == "corrupt"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_damaged_jpeg_of_other_channels(photo: Image.Image, mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = packed(photo.convert(mode), "JPEG", quality=90)
    assert kind_of(cut_and_closed(data)) == "corrupt"
    assert kind_of(with_hole(data, 512)) == "corrupt"
    assert capfd.readouterr().err == ""


def test_small_holes_are_seen_though_the_decoder_finds_its_way_again(photo: Image.Image) -> None:
    data = packed(photo, "JPEG", quality=90)
    assert [kind_of(with_hole(data, 80, share / 20)) for share in range(1, 20)] == ["corrupt"] * 19


def test_picture_that_was_filled_up_with_zeros(photo: Image.Image) -> None:
    for options in ENCODINGS.values():
        data = packed(photo, "JPEG", **options)
        filled = cut_and_closed(data)[:-2] + bytes(4 * len(data)) + b"\xff\xd9"
        assert kind_of(filled) == "corrupt"


def test_zeros_of_flat_pictures_and_behind_the_end_are_no_hole() -> None:
    """Where a table gives zeros the meaning of an empty block, a blank page is nothing but zeros."""
    for options in ({}, {"optimize": True}, {"progressive": True}, {"optimize": True, "subsampling": 0}):
        for value in (0, 128, 255):
            page = np.full((1024, 1024, 3), value, np.uint8)
            page[500:520, 100:900] = 255 - value
            data = packed(page, "JPEG", **options)
            assert images.decode(data + bytes(5000)).shape == page.shape


@pytest.mark.parametrize(
    "harmless",
    [
        lambda d: d[:-2] + bytes(300) + d[-2:],
        lambda d: d[:-2] + b"\xff" * 300 + d[-2:],
        lambda d: d[:-2] + b"\x12\x34" + d[-2:],
        lambda d: d[:2] + b"stray bytes between segments" + d[2:],
        lambda d: with_segments(d, [(0xEE, b"Adobe\0\x64\0\0\0\0\x09")]),
        lambda d: with_segments(d, [(0xE1, b"Exif\0\0II*\0\xff\xff")]),
        lambda d: with_segments(d, [(0xE2, b"ICC_PROFILE\0\x03\x02broken")]),
        lambda d: d.replace(b"JFIF\0\x01\x01", b"JFIF\0\x00\x00"),
        lambda d: d[: scan_start(d) - 3] + b"\0\0\0" + d[scan_start(d) :],
        lambda d: d + packed(np.zeros((40, 40, 3), np.uint8), "JPEG")[:-100],
    ],
    ids=["zeros", "fill", "alignment", "stray", "adobe", "exif", "icc", "jfif", "spectrum", "second picture"],
)
def test_harmless_warnings_are_let_pass(photo: Image.Image, harmless, capfd: pytest.CaptureFixture[str]) -> None:
    data = packed(photo, "JPEG", quality=90)
    assert harmless(data) != data
    assert np.array_equal(images.decode(harmless(data)), images.decode(data))
    assert np.array_equal(images.decode_gray(harmless(data)), images.decode_gray(data))
    assert kind_of(harmless(cut_and_closed(data))) == "corrupt"
    assert capfd.readouterr().err == ""


def test_every_bundled_portrait_is_sound_and_equal_to_pillow() -> None:
    for path in PORTRAITS.glob("*.jpg"):
        data = path.read_bytes()
        assert np.array_equal(images.decode(data), np.asarray(Image.open(path))), path.name


def test_damaged_png_is_corrupt_even_where_its_sums_are_right(
    photo: Image.Image, capfd: pytest.CaptureFixture[str]
) -> None:
    head, *middle, end = png_chunks(packed(photo, "PNG"))
    pixels = zlib.decompress(b"".join(body for kind, body in middle if kind == b"IDAT"))
    stream = zlib.compress(pixels)
    wrong_filter = bytearray(pixels)
    wrong_filter[0] = 9
    for body in (stream[:-4] + b"abcd", zlib.compress(pixels[:-9000]), zlib.compress(bytes(wrong_filter))):
        assert kind_of(png_of([head, (b"IDAT", body), end])) == "corrupt"
    broken = bytearray(png_of([head, (b"tEXt", b"a\0b"), (b"IDAT", stream), end]))
    broken[broken.index(b"tEXt") + 5] ^= 1
    assert kind_of(bytes(broken)) == "corrupt"
    assert capfd.readouterr().err == ""


def test_broken_profile_of_a_png_stays_off_the_terminal(photo: Image.Image, capfd: pytest.CaptureFixture[str]) -> None:
    head, *middle, end = png_chunks(packed(photo, "PNG"))
    data = png_of([head, (b"iCCP", b"x\0\0" + zlib.compress(b"no profile")), *middle, end])
    assert np.array_equal(images.decode(data), np.asarray(photo))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "group4"])
def test_damaged_tiff_is_corrupt(photo: Image.Image, compression: str, capfd: pytest.CaptureFixture[str]) -> None:
    page = photo.convert("1") if compression == "group4" else photo
    data = bytearray(packed(page, "TIFF", compression=compression))
    offset = Image.open(io.BytesIO(data)).tag_v2[273][0]
    data[offset + 200 : offset + 600] = b"\x55" * 400
    assert kind_of(bytes(data)) in ("corrupt", "truncated")
    assert capfd.readouterr().err == ""


def test_what_others_write_to_stderr_meanwhile_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with caught_output() as lines:
        os.write(2, b"libpng warning: IDAT: odd\nbuilding: 4/4 photos\n")
    assert lines == ["libpng warning: IDAT: odd"]
    assert capfd.readouterr().err == "building: 4/4 photos\n"


def test_fork_while_another_thread_decodes_does_not_wait() -> None:
    with caught_output():
        child = os.fork()
        if child == 0:
            with caught_output():
                os._exit(7)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 7


def test_white_is_zero_of_16_bits_is_inverted() -> None:
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    for white_is_zero in (False, True):
        tags = {256: (4, 16), 257: (4, 16), 258: (3, 16), 259: (3, 1), 262: (3, 1 - white_is_zero), 273: (4, 122),
                277: (3, 1), 278: (4, 16), 279: (4, 512)}  # fmt: skip
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in tags.items())
        data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + levels.astype("<u2").tobytes()
        expected = np.arange(256, dtype=np.uint8).reshape(16, 16)
        assert np.array_equal(images.decode_gray(data), 255 - expected if white_is_zero else expected)
