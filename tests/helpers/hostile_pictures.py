"""Pictures that are damaged, or small and expensive, made from sound ones."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image


def packed(image: Image.Image | np.ndarray, fmt: str, **options: object) -> bytes:
    """Encode with Pillow."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, fmt, **options)
    return buffer.getvalue()


def scan_start(jpeg: bytes) -> int:
    """Where the entropy-coded data of the first scan begin."""
    at = jpeg.index(b"\xff\xda") + 2
    return at + struct.unpack_from(">H", jpeg, at)[0]


def cut_and_closed(jpeg: bytes, share: float = 0.5) -> bytes:
    start = scan_start(jpeg)
    return jpeg[: start + int((len(jpeg) - start) * share)] + b"\xff\xd9"


def with_hole(jpeg: bytes, size: int, share: float = 0.4) -> bytes:
    """A run of zeros in the picture, as a lost sector leaves it."""
    start = scan_start(jpeg)
    at = start + int((len(jpeg) - start - size) * share)
    return jpeg[:at] + bytes(size) + jpeg[at + size :]


def with_segments(jpeg: bytes, segments: Iterable[tuple[int, bytes]]) -> bytes:
    """More segments behind the start of the image."""
    added = [b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments]
    return jpeg[:2] + b"".join(added) + jpeg[2:]


def many_scans(count: int, width: int, height: int, *, progressive: bool = True) -> bytes:
    """A JPEG of a few KB that claims a size and goes over it again and again."""
    jpeg = packed(np.full((64, 64), 128, np.uint8), "JPEG", progressive=progressive)
    at = jpeg.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    jpeg = jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
    return jpeg[:-2] + jpeg[jpeg.rindex(b"\xff\xda") : -2] * count + b"\xff\xd9"


def png_of(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with right checksums."""
    parts = (struct.pack(">I", len(b)) + kind + b + struct.pack(">I", zlib.crc32(kind + b)) for kind, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """(type, body) of each chunk."""
    chunks, at = [], 8
    while at + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunks.append((kind, png[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks
