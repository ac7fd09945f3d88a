"""Small files that would take gigabytes or minutes to decode are refused by their headers, in words."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hostile_pictures import many_scans, packed, png_chunks, png_of, with_segments
from PIL import Image

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files, images

GREY = np.full((200, 200, 3), 128, np.uint8)


def refusal(data: bytes, **options: int) -> tuple[str, str]:
    """Kind and message, which must come at once."""
    start = time.process_time()
    with pytest.raises(SampleError) as caught:
        images.decode(data, **options)
    assert time.process_time() - start < 1
    return caught.value.kind, caught.value.message


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize(("side", "count"), [(1000, 20_000), (7071, 2000)])
def test_scans_are_counted(side: int, count: int, progressive: bool) -> None:
    kind, message = refusal(many_scans(count, side, side, progressive=progressive))
    assert kind == "corrupt"
    assert "scans" in message


def test_passes_over_a_large_picture_are_counted() -> None:
    data = many_scans(100, 7071, 7071)
    kind, message = refusal(data)
    assert kind == "too-large"
    assert "7071×7071" in message
    assert "scans" in message
    photo = packed(GREY, "JPEG", progressive=True)
    assert images.decode(photo, max_pixels=200 * 200).shape == GREY.shape


@pytest.mark.parametrize("body", [b"", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_segments_are_counted(body: bytes) -> None:
    kind, message = refusal(with_segments(packed(GREY, "JPEG"), [(0xE1, body)] * 200_000))
    assert kind == "corrupt"
    assert "segments" in message
    jpeg = packed(GREY, "JPEG")
    kind, message = refusal(jpeg[:-2] + b"\xff\xfe\0\2" * 1_000_000 + jpeg[-2:])
    assert kind == "corrupt"
    assert "segments" in message


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_large_segments_are_stepped_over(mode: str) -> None:
    jpeg = packed(Image.fromarray(GREY).convert(mode), "JPEG")
    start = time.process_time()
    photo = images.decode(with_segments(jpeg, [(0xE1, b"Exif\0\0" + bytes(65_000))] * 250))
    assert time.process_time() - start < 2
    assert np.array_equal(photo, images.decode(jpeg))


def test_profiles_and_chunks_are_counted() -> None:
    head, *middle, end = png_chunks(packed(GREY, "PNG"))
    profile = (b"iCCP", b"x\0\0" + zlib.compress(bytes(8_000_000), 9))
    assert "more than one colour profile" in refusal(png_of([head, *[profile] * 500, *middle, end]))[1]
    assert "chunks" in refusal(png_of([head, *[(b"teXt", b"")] * 70_000, *middle, end]))[1]


def test_texts_are_not_inflated() -> None:
    head, *middle, end = png_chunks(packed(np.dstack([GREY, GREY[:, :, 0]]), "PNG"))
    text = (b"zTXt", b"x\0\0" + zlib.compress(bytes(900_000), 9))
    start = time.process_time()
    images.decode(png_of([head, *[text] * 900, *middle, end]))
    assert time.process_time() - start < 1


def vp8l(side: int) -> bytes:
    """The header of a lossless WebP with alpha."""
    bits = struct.pack("<BI", 0x2F, (side - 1) | (side - 1) << 14 | 1 << 28)
    body = b"WEBPVP8L" + struct.pack("<I", len(bits) + 1) + bits + b"\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rgba_tiff(side: int) -> bytes:
    """The directory of a TIFF with alpha."""
    tags = {256: (4, side), 257: (4, side), 258: (3, 8), 259: (3, 8), 262: (3, 2), 273: (4, 8), 277: (3, 4),
            278: (4, side), 279: (4, 9), 338: (3, 2)}  # fmt: skip
    entries = [struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in tags.items()]
    entries[2] = struct.pack("<HHII", 258, 3, 4, 8 + 2 + 12 * len(tags) + 4)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + b"\x08\0" * 4


@pytest.mark.parametrize("data", [vp8l(10_000), rgba_tiff(10_000)], ids=["webp", "tiff"])
def test_bytes_are_counted_with_alpha(data: bytes) -> None:
    assert len(data) < 1000
    kind, message = refusal(data)
    assert kind == "too-large"
    assert "00 MB, over" in message
    assert "300 MB" in message


def test_depth_counts_too() -> None:
    header = (b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 16, 2, 0, 0, 0))
    assert "486 MB" in refusal(png_of([header, (b"IDAT", b""), (b"IEND", b"")]))[1]


def test_codecs_that_pillow_has_in_python_are_limited() -> None:
    assert images.decode(b"P3 2 1 255 1 2 3 4 5 6\n").tolist() == [[[1, 2, 3], [4, 5, 6]]]
    for data in (
        b"P3 2000 2000 255\n" + b"1 " * 12_000_000,
        b"P6 2000 2000 254\n" + bytes(12_000_000),
        run_length_bmp(2000, b"\1\1" * 4_000_000),
    ):
        kind, message = refusal(data)
        assert kind == "too-large"
        assert "old way" in message
    assert images.decode(b"P6 2000 2000 255\n" + bytes(12_000_000)).shape == (2000, 2000, 3)


def run_length_bmp(side: int, runs: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + header + bytes(1024) + runs


def test_strips_of_a_tiff_are_counted() -> None:
    count = 1_000_000
    tags = [(256, 4, 1, 1), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, count, 200),
            (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, count, 200)]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    kind, message = refusal((b"II*\0\x08\0\0\0" + directory).ljust(200, b"\1") + struct.pack("<I", 150) * count)
    assert kind == "corrupt"
    assert "1,000,000 strips" in message


def test_transparency_does_not_multiply_memory() -> None:
    """A picture of 36 megapixels with alpha: 144 MB decoded, and not many times that on the way to sRGB."""
    code = """
import io, re
from PIL import Image
from sketchprep.io import images
buffer = io.BytesIO()
Image.new("RGBA", (6000, 6000), (0, 0, 0, 9)).save(buffer, "TIFF", compression="tiff_adobe_deflate")
images.decode(buffer.getvalue())
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10)  # not the parent's
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert int(run.stdout) < 700


def test_too_little_memory_is_an_error_of_the_picture(tmp_path: Path) -> None:
    """Under `ulimit -v`: whether its bytes do not fit or its pixels."""
    large = Image.new("RGB", (4000, 4000))
    for fmt in ("JPEG", "PNG", "TIFF"):
        compression = {"compression": "tiff_lzw"} if fmt == "TIFF" else {}
        (tmp_path / f"large.{fmt}").write_bytes(packed(large, fmt, **compression))
    (tmp_path / "raw.bmp").write_bytes(packed(large, "BMP"))
    code = """
import resource, sys
from pathlib import Path
from sketchprep.errors import SampleError
from sketchprep.io import files, images
from PIL import Image
Image.init()  # what is loaded later needs memory too
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (12 << 20),) * 2)
for path in sys.argv[1:]:
    for read in (images.decode, images.decode_gray):
        try:
            read(files.read(Path(path)))
        except SampleError as error:
            print(error.kind)
"""
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert set(run.stdout.split()) == {"out-of-memory"}


def test_too_many_open_files_is_the_users_affair_not_the_pictures(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(packed(GREY, "PNG"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        with suppress(OSError):
            while True:
                held.append(os.open(path, os.O_RDONLY))
        with pytest.raises(UserError, match="ulimit -n"):
            files.read(path)
        assert images.decode(packed(GREY, "PNG")).shape == GREY.shape
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert files.read(path)
