"""JPEG headers, walked segment by segment in a few microseconds; detection of truncated files."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sketchprep.errors import SampleError
from sketchprep.io.header import Header, exif_orientation

__all__ = ["jpeg_ends", "probe_jpeg"]

# More scans than any real progressive file has; a small file with thousands of them keeps a decoder busy for hours.
_MAX_SCANS = 200


def probe_jpeg(data: bytes) -> Header:
    """Read a JPEG's header; raises as `sketchprep.io.probe.probe`."""
    frame: tuple[int, int, int, int, int] | None = None
    orientation, adobe, profile, ids = 1, -1, {}, b""
    for marker, start, end in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and end - start >= 6:
            bits, height, width, parts = struct.unpack_from(">BHHB", data, start)
            frame, ids = (marker, bits, height, width, parts), bytes(data[start + 6 : end : 3])
        elif marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = exif_orientation(data[start + 6 : end])
        elif marker == 0xE2 and data[start : start + 12] == b"ICC_PROFILE\0" and end - start > 14:
            profile[data[start + 12]] = data[start + 14 : end]
        elif marker == 0xEE and data[start : start + 5] == b"Adobe" and end - start >= 12:
            adobe = data[start + 11]
    if frame is None:
        raise SampleError("corrupt", "the JPEG has no frame header")
    marker, bits, height, width, parts = frame
    if not width or not height or parts not in (1, 3, 4):
        raise SampleError("corrupt", f"the JPEG claims {width}×{height} pixels in {parts} components")
    return Header(
        "JPEG",
        width,
        height,
        {1: "L", 3: "RGB", 4: "CMYK"}[parts],
        bits=bits,
        orientation=orientation,
        icc=b"".join(profile[key] for key in sorted(profile)) or None,
        process={0xC0: "baseline", 0xC2: "progressive"}.get(marker, f"SOF{marker - 0xC0}"),
        ycc=adobe != 0 and ids != b"RGB",
    )


def jpeg_ends(data: bytes) -> bool:
    """Tell whether a JPEG's picture is there to its end (whatever follows the end).

    Decoders fill what is missing with grey and say nothing.  Entropy-coded data never holds the end marker, so it is
    searched from the back, where it lies in a sound file; the start of the scan bounds the search because an embedded
    thumbnail has an end marker too.

    Raises
    ------
    SampleError
        ``"corrupt"`` if the file has more scans than any encoder writes.
    """
    scan, progressive = 2, False
    for marker, _, end in _jpeg_segments(data):
        scan, progressive = end, progressive or marker in (0xC2, 0xCA)
    if progressive and data.count(b"\xff\xda", scan) > _MAX_SCANS:
        raise SampleError("corrupt", f"the JPEG has more than {_MAX_SCANS} scans")
    return data.rfind(b"\xff\xd9", scan) >= 0


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each header segment up to and with the first start of scan."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while at >= 0 and data[at : at + 2] == b"\xff\xff":
            at += 1
        if at < 0 or at + 4 > len(data):
            raise SampleError("truncated", "the file ends inside its header")
        marker = data[at + 1]
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        if marker == 0xD9:
            raise SampleError("corrupt", "the JPEG ends before its picture begins")
        length = struct.unpack_from(">H", data, at + 2)[0]
        if at + 2 + length > len(data):
            raise SampleError("truncated", "the file ends inside its header")
        yield marker, at + 4, at + 2 + length
        if marker == 0xDA:
            return
        at += 2 + max(length, 2)
