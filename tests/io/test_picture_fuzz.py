"""Thousands of damaged files of every format: each is decoded or named, in bounded time, and stderr stays empty."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hostile_pictures import packed, png_chunks, png_of
from PIL import Image, ImageCms, features

from sketchprep.errors import SampleError
from sketchprep.io import images

KINDS = {"empty", "not-a-picture", "truncated", "corrupt", "unsupported", "too-large"}
SECONDS = 20  # of processor time for one file: with 100 megapixels allowed, some claims are honest


def seeds() -> dict[str, bytes]:
    """A small picture in every format and in the ways of storing that decoders treat apart."""
    y, x = np.mgrid[0:96, 0:80].astype(float)
    noise = np.random.default_rng(0).normal(0, 8, (96, 80, 3))
    pixels = np.clip(np.stack([230 - 3 * x, 60 + 2 * y + x, 20 + 4 * y], -1) + noise, 0, 255).astype(np.uint8)
    photo = Image.fromarray(pixels)
    clear = Image.fromarray(np.dstack([pixels, (3 * x).astype(np.uint8)]))
    deep = Image.fromarray((700 * x).astype(np.uint16))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [photo.rotate(90)]}
    found = {
        "jpeg": packed(photo, "JPEG"),
        "jpeg progressive": packed(photo, "JPEG", progressive=True, icc_profile=profile, exif=turned),
        "jpeg cmyk": packed(photo.convert("CMYK"), "JPEG"),
        "jpeg grey": packed(photo.convert("L"), "JPEG", restart_marker_rows=1),
        "png": packed(photo, "PNG", icc_profile=profile, exif=turned),
        "png alpha": packed(clear, "PNG"),
        "png palette": packed(photo.quantize(32), "PNG", transparency=3),
        "png deep": packed(deep, "PNG"),
        "png bits": packed(photo.convert("1"), "PNG"),
        "png frames": packed(photo, "PNG", **frames),
        "webp": packed(photo, "WEBP", exif=turned),
        "webp lossless": packed(clear, "WEBP", lossless=True),
        "webp frames": packed(photo, "WEBP", **frames),
        "gif": packed(photo, "GIF"),
        "gif frames": packed(photo, "GIF", **frames),
        "bmp": packed(photo, "BMP"),
        "bmp palette": packed(photo.quantize(16), "BMP"),
        "ppm": packed(photo, "PPM"),
        "tiff": packed(photo, "TIFF"),
        "tiff deep": packed(deep, "TIFF"),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        found[f"tiff {compression}"] = packed(photo, "TIFF", compression=compression)
    found["tiff group4"] = packed(photo.convert("1"), "TIFF", compression="group4")
    if features.check("avif"):
        found["avif"] = packed(photo, "AVIF")
    return found


def damaged(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, cut, punch a hole, repeat, splice with another file, delete, or overwrite the header."""
    changed = bytearray(data)
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 400))
    match rng.integers(8):
        case 0:
            for place in rng.integers(0, len(data), rng.integers(1, 8)):
                changed[place] ^= 1 << int(rng.integers(8))
        case 1:
            del changed[at:]
        case 2:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        case 3:
            changed[at:at] = changed[at // 2 : at // 2 + length]
        case 4:
            start = int(rng.integers(len(other)))
            changed[at : at + length] = other[start : start + length]
        case 5:
            del changed[at : at + length // 8]
        case 6:
            for place in rng.integers(0, min(len(data), 160), 3):
                changed[place] = rng.integers(256)
        case 7:
            changed[at : at + length] = rng.bytes(length)
    if data.startswith(b"\x89PNG") and rng.integers(2):
        return png_of(png_chunks(bytes(changed)))  # the checksums do not show it
    return bytes(changed)


def fuzz(count: int, seed: int, capfd: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Decode `count` damaged files; how many ended how."""
    rng = np.random.default_rng(seed)
    sound = list(seeds().items())
    ends: dict[str, int] = {}
    for number in range(count):
        name, data = sound[number % len(sound)]
        data = damaged(data, sound[int(rng.integers(len(sound)))][1], rng)
        for read in (images.decode, images.decode_gray, images.decode_labels):
            start = time.process_time()
            end, message = "decoded", ""
            try:
                image = read(data)
                assert image.dtype == np.uint8
                assert image.ndim == (3 if read is images.decode else 2)
            except SampleError as error:
                end, message = error.kind, error.message
            assert end == "decoded" or (end in KINDS and message and "\n" not in message), f"{name} {number}: {message}"
            assert time.process_time() - start < SECONDS, f"{name} {number}: {end}"
            ends[end] = ends.get(end, 0) + 1
        assert images.stores_as_is(data) in (True, False)
        assert capfd.readouterr() == ("", ""), f"{name} {number}"
    return ends


def test_sound_files_decode(capfd: pytest.CaptureFixture[str]) -> None:
    for name, data in seeds().items():
        assert images.decode(data).shape[2] == 3, name
    assert capfd.readouterr() == ("", "")


def test_damaged_files_are_decoded_or_named(capfd: pytest.CaptureFixture[str]) -> None:
    ends = fuzz(600, 7, capfd)
    assert min(ends[kind] for kind in ("decoded", "truncated", "corrupt")) > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_many_damaged_files_are_decoded_or_named(seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    fuzz(4000, 100 + seed, capfd)
