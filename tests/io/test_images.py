"""Decoding: every kind of file comes out upright, in sRGB, or as a named error; encoding loses no more than it says."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from sketchprep.errors import SampleError
from sketchprep.io import images


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Draw a picture without symmetry: a colour ramp, red top left, blue bottom right."""
    y, x = np.mgrid[0:48, 0:64].astype(np.float64)
    ramp = np.stack([230 - 3 * x, 60 + 2 * y + x, 20 + 4 * y], -1)
    ramp[:12, :16] = (220, 20, 20)
    ramp[36:, 48:] = (20, 20, 220)
    return np.clip(ramp, 0, 255).astype(np.uint8)


def packed(image: Image.Image | np.ndarray, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, fmt, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, bits: int, colour: int, pixels: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(pixels, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def gap(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b).mean())


def kind_of(data: bytes, **options: int) -> str:
    with pytest.raises(SampleError) as caught:
        images.decode(data, **options)
    assert caught.value.message
    assert not caught.value.rejected
    return caught.value.kind


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back_exactly(scene: np.ndarray, fmt: str) -> None:
    assert np.array_equal(images.decode(packed(scene, fmt)), scene)


def test_lossless_webp_comes_back_exactly(scene: np.ndarray) -> None:
    assert np.array_equal(images.decode(packed(scene, "WEBP", lossless=True)), scene)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_close_and_equal_to_another_decoder(scene: np.ndarray, progressive: bool) -> None:
    data = packed(scene, "JPEG", quality=95, subsampling=0, progressive=progressive)
    photo = images.decode(data)
    assert gap(photo, scene) < 3
    assert gap(photo, np.asarray(Image.open(io.BytesIO(data)))) < 0.5
    assert photo.flags.c_contiguous
    assert photo.dtype == np.uint8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(scene: np.ndarray, orientation: int, fmt: str) -> None:
    # How a camera held that way would have stored the scene.
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.swapaxes(0, 1),
        6: np.rot90(scene, 1),
        7: scene.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(scene, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = packed(np.ascontiguousarray(stored), fmt, exif=exif, **({"quality": 95} if fmt in ("JPEG", "WEBP") else {}))
    assert gap(images.decode(data), scene) < 5
    assert images.decode_gray(data).shape == scene.shape[:2]
    if fmt in ("JPEG", "PNG"):
        assert images.probe(data).size == (64, 48)


def test_grey_is_replicated(scene: np.ndarray) -> None:
    grey = scene[:, :, 1]
    assert np.array_equal(images.decode(packed(grey, "PNG")), np.dstack([grey] * 3))
    assert gap(images.decode(packed(grey, "JPEG", quality=95)), np.dstack([grey] * 3)) < 3


def test_palette_and_transparent_palette(scene: np.ndarray) -> None:
    palette = Image.fromarray(scene).quantize(64)
    assert np.array_equal(images.decode(packed(palette, "PNG")), np.asarray(palette.convert("RGB")))
    chosen = palette.getpixel((5, 5))
    photo = images.decode(packed(palette, "PNG", transparency=chosen))
    assert (photo[5, 5] == 255).all()


@pytest.mark.parametrize("fmt", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composed_over_white(scene: np.ndarray, fmt: str) -> None:
    alpha = np.full(scene.shape[:2], 255, np.uint8)
    alpha[:10], alpha[10:20] = 0, 128
    data = packed(np.dstack([scene, alpha]), fmt, **({"lossless": True, "exact": True} if fmt == "WEBP" else {}))
    photo = images.decode(data)
    assert (photo[:10] == 255).all()
    assert np.array_equal(photo[20:], scene[20:])
    assert gap(photo[10:20], 255 - (255 - scene[10:20].astype(float)) * 128 / 255) < 0.6


def test_16_bits_are_rounded_not_cut() -> None:
    levels = np.arange(0, 65536, 97, dtype=np.uint16)[None]
    expected = np.rint(levels / 257).astype(np.uint8)
    grey = raw_png(levels.shape[1], 1, 16, 0, b"\0" + levels.astype(">u2").tobytes())
    assert np.array_equal(images.decode(grey)[:, :, 0], expected)
    assert np.array_equal(images.decode_gray(grey), expected)
    rgb = np.dstack([levels, levels[:, ::-1], levels // 2])
    photo = images.decode(raw_png(levels.shape[1], 1, 16, 2, b"\0" + rgb.astype(">u2").tobytes()))
    assert np.array_equal(photo, np.rint(rgb / 257).astype(np.uint8))
    rgba = np.dstack([rgb, np.zeros_like(levels)])
    clear = images.decode(raw_png(levels.shape[1], 1, 16, 6, b"\0" + rgba.astype(">u2").tobytes()))
    assert (clear == 255).all()


def test_one_bit_is_black_and_white() -> None:
    photo = images.decode(raw_png(8, 1, 1, 0, b"\0\xaa"))
    assert photo[0, :, 0].tolist() == [255, 0] * 4


def test_cmyk_keeps_its_colours(scene: np.ndarray) -> None:
    photo = images.decode(packed(Image.fromarray(scene).convert("CMYK"), "JPEG", quality=98, subsampling=0))
    assert gap(photo, scene) < 4


def p3_like_profile() -> bytes:
    """Swap the red and green primaries of Pillow's sRGB profile, so that a reader who ignores it is caught at once."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    assert max(red, green) < 128 + 4 + 12 * 20
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_colour_profile_is_converted(scene: np.ndarray, fmt: str) -> None:
    options = {"quality": 95, "subsampling": 0} if fmt == "JPEG" else {"lossless": True} if fmt == "WEBP" else {}
    photo = images.decode(packed(scene, fmt, icc_profile=p3_like_profile(), **options))
    assert gap(photo, scene[:, :, [1, 0, 2]]) < 4


def test_profile_of_a_deep_and_of_a_transparent_png_is_converted(scene: np.ndarray) -> None:
    profile = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(p3_like_profile()))
    rows = np.concatenate([np.zeros((48, 1), np.uint8), np.repeat(scene.reshape(48, -1), 2, axis=1)], 1)
    assert gap(images.decode(raw_png(64, 48, 16, 2, rows.tobytes(), profile)), scene[:, :, [1, 0, 2]]) < 2
    clear = np.dstack([scene, np.full((48, 64), 255, np.uint8)])
    photo = images.decode(packed(clear, "PNG", icc_profile=p3_like_profile()))
    assert gap(photo, scene[:, :, [1, 0, 2]]) < 2


def test_srgb_profile_leaves_pixels_alone_and_a_broken_one_is_ignored(scene: np.ndarray) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"not a profile"):
        assert np.array_equal(images.decode(packed(scene, "PNG", icc_profile=profile)), scene)


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(fmt: str) -> None:
    first, second = Image.new("RGB", (20, 10), (200, 0, 0)), Image.new("RGB", (20, 10), (0, 0, 200))
    data = packed(first, fmt, save_all=True, append_images=[second], duration=50, loop=0)
    photo = images.decode(data)
    assert photo.shape == (10, 20, 3)
    assert gap(photo, np.full((10, 20, 3), (200, 0, 0))) < 4


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_one_pixel(fmt: str) -> None:
    assert images.decode(packed(np.full((1, 1, 3), 255, np.uint8), fmt)).tolist() == [[[255, 255, 255]]]


def test_empty_text_and_page() -> None:
    assert kind_of(b"") == "empty"
    for data in (
        b"this is text\n",
        b"<html></html>",
        b"\0" * 5000,
        b"BM and more text, none of it a bitmap",
        b"%PDF-1.7",
    ):
        assert kind_of(data) == "not-a-picture"


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_cut_files_are_named_truncated_or_corrupt(scene: np.ndarray, fmt: str, share: float) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = packed(noise, fmt)
    kind = kind_of(data[: int(len(data) * share)])
    assert kind in (("truncated",) if fmt in ("JPEG", "PNG") else ("truncated", "corrupt", "not-a-picture"))


def test_truncated_jpeg_with_a_thumbnail_is_still_found(scene: np.ndarray) -> None:
    thumbnail = (
        b"\xff\xe2" + struct.pack(">H", 2 + 5 + 700) + b"THUMB" + (packed(scene, "JPEG")[:690] + b"\xff\xd9").ljust(700)
    )
    data = packed(scene, "JPEG", quality=95)
    data = data[:2] + thumbnail + data[2:]
    assert gap(images.decode(data), scene) < 5
    assert kind_of(data[:-300]) == "truncated"
    assert not images.stores_as_is(data[:-300])


@pytest.mark.parametrize("fmt", ["JPEG", "PNG"])
def test_trailing_bytes_do_no_harm(scene: np.ndarray, fmt: str) -> None:
    data = packed(scene, fmt)
    for tail in (b"\0" * 999, b"GARBAGE" * 50, b"\xff" * 9):
        assert np.array_equal(images.decode(data + tail), images.decode(data))


def test_flipped_bits_never_crash_and_never_write_to_stderr(tmp_path: object) -> None:
    code = """
import io, numpy as np
from PIL import Image
from sketchprep.io import images
from sketchprep.errors import SampleError
rng = np.random.default_rng(0)
noise = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
done = 0
for fmt in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, fmt)
    for _ in range(60):
        data = bytearray(buffer.getvalue())
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        for read in (images.decode, images.decode_gray, images.stores_as_is):
            try:
                read(bytes(data))
            except SampleError:
                done += 1
print(done)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 60
    assert run.stderr == ""


def test_wrong_checksum_is_named(scene: np.ndarray) -> None:
    data = bytearray(packed(scene, "PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    assert kind_of(bytes(data)) == "corrupt"


def test_bomb_is_refused_from_its_header() -> None:
    squeezer = zlib.compressobj(9)
    row = b"\0" * 3751
    body = b"".join(squeezer.compress(row) for _ in range(30000)) + squeezer.flush()
    header = struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    assert len(data) < 200_000
    assert kind_of(data) == "too-large"
    with pytest.raises(SampleError, match="30000×30000"):
        images.decode_gray(data)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_pixel_limit_holds_for_every_format(scene: np.ndarray, fmt: str) -> None:
    data = packed(scene, fmt)
    assert kind_of(data, max_pixels=64 * 48 - 1) == "too-large"
    assert images.decode(data, max_pixels=64 * 48).shape == scene.shape


def test_claims_past_every_limit() -> None:
    tiff = b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 256, 4, 1, 2**31) + struct.pack("<HHII", 257, 4, 1, 2**31)
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0"
    for data in (tiff + b"\0" * 64, gif + b"\0" * 64):
        assert kind_of(data) in ("too-large", "corrupt")


def test_jpeg_of_endless_scans_is_refused(scene: np.ndarray) -> None:
    data = packed(scene, "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    assert kind_of(data[:-2] + data[scan:-2] * 500 + b"\xff\xd9") == "corrupt"


def test_heic_names_the_remedy_and_avif_decodes_or_does() -> None:
    heic = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0" * 100
    with pytest.raises(SampleError) as caught:
        images.decode(heic)
    assert caught.value.kind in ("unsupported", "corrupt")
    assert caught.value.kind == "corrupt" or "sketchprep[heic]" in caught.value.message
    from PIL import features

    if features.check("avif"):
        red = np.full((32, 32, 3), (200, 30, 30), np.uint8)
        assert gap(images.decode(packed(red, "AVIF", quality=95)), red) < 6


def test_known_but_unread_formats_say_what_to_do() -> None:
    for data in (b"\xff\x0a" + b"\0" * 40, b"8BPS\0\1" + b"\0" * 40):
        assert kind_of(data) == "unsupported"


def test_decode_gray_keeps_grey_values_and_weighs_colours(scene: np.ndarray) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(images.decode_gray(packed(ramp, "PNG")), ramp)
    luma = scene @ np.array([0.299, 0.587, 0.114])
    for data in (packed(scene, "PNG"), packed(scene, "JPEG", quality=98, subsampling=0), packed(scene, "BMP")):
        assert gap(images.decode_gray(data), luma) < 2


def test_decode_labels_keeps_indices() -> None:
    labels = np.arange(19, dtype=np.uint8).repeat(3)[None].repeat(4, 0)
    palette = Image.fromarray(labels).convert("P")
    palette.putdata(labels.ravel().tolist())
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    assert np.array_equal(images.decode_labels(packed(palette, "PNG")), labels)
    assert np.array_equal(images.decode_labels(packed(labels, "PNG")), labels)
    with pytest.raises(SampleError, match="label map"):
        images.decode_labels(packed(np.zeros((4, 4, 3), np.uint8), "PNG"))


def test_stores_as_is_is_strict(scene: np.ndarray) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg = packed(scene, "JPEG")
    assert images.stores_as_is(jpeg)
    assert images.stores_as_is(packed(scene, "JPEG", progressive=True))
    assert images.stores_as_is(packed(scene, "JPEG", icc_profile=srgb))
    refused = {
        "png": packed(scene, "PNG"),
        "grey": packed(scene[:, :, 0], "JPEG"),
        "cmyk": packed(Image.fromarray(scene).convert("CMYK"), "JPEG"),
        "rgb": packed(scene, "JPEG", keep_rgb=True),
        "turned": packed(scene, "JPEG", exif=turned),
        "profile": packed(scene, "JPEG", icc_profile=p3_like_profile()),
        "cut": jpeg[:-2],
        "empty": b"",
        "text": b"hello",
    }
    assert [name for name, data in refused.items() if images.stores_as_is(data)] == []


def test_rgb_coded_jpeg_decodes(scene: np.ndarray) -> None:
    assert gap(images.decode(packed(scene, "JPEG", keep_rgb=True, quality=95)), scene) < 4


def test_jpeg_round_trip_keeps_fine_colour() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 60, 200)
    assert gap(images.decode(images.encode_jpeg(stripes)), stripes) < 6
    assert images.stores_as_is(images.encode_jpeg(stripes))


def test_png_round_trip_is_exact(scene: np.ndarray) -> None:
    assert np.array_equal(images.decode(images.encode_png(scene)), scene)
    assert np.array_equal(images.decode_gray(images.encode_png(scene[:, :, 0])), scene[:, :, 0])
    assert len(images.encode_png(scene, level=9)) <= len(images.encode_png(scene, level=0))
