"""JPEG files walked marker by marker in microseconds: header, budget, and what damage shows without decoding.

ITU-T T.81, annex B, has the syntax.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from sketchprep.errors import SampleError
from sketchprep.io.header import Header, check_budget, exif_orientation

__all__ = ["checked_jpeg", "jpeg_essentials", "probe_jpeg"]

# More than any encoder writes; a small file with thousands of them keeps a decoder busy for minutes.
_MAX_PROGRESSIVE_SCANS, _MAX_SEQUENTIAL_SCANS = 200, 4
_MAX_SEGMENTS = 4096

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
_DHT, _DAC, _EOI, _SOS, _DQT, _DRI, _APP0, _APP14 = 0xC4, 0xCC, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE
_NEEDED = _SOF | {_DHT, _DAC, _SOS, _DQT, _DRI}
# Entropy-coded data goes on through stuffed zeros, restarts and fill; any other marker ends it.
_MARKER_AFTER_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_HEADER_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
# With the usual tables two blocks whose 63 coefficients are all -1, which no encoder has seen.
_HOLE = b"\0" * 48


class _Segment(NamedTuple):
    """Marker, bounds of the body without its length, and for a scan where its entropy-coded data ends."""

    marker: int
    start: int
    end: int
    scan_end: int


def probe_jpeg(data: bytes) -> Header:
    """Read a JPEG's header; raises as `sketchprep.io.probe.probe`."""
    frame: tuple[int, int, int, int, int] | None = None
    orientation, adobe, profile, ids = 1, -1, {}, b""
    for marker, start, end, _ in _header_segments(data):
        if marker in _SOF and end - start >= 6:
            bits, height, width, parts = struct.unpack_from(">BHHB", data, start)
            frame, ids = (marker, bits, height, width, parts), bytes(data[start + 6 : end : 3])
        elif marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = exif_orientation(data[start + 6 : end])
        elif marker == 0xE2 and data[start : start + 12] == b"ICC_PROFILE\0" and end - start > 14:
            profile[data[start + 12]] = data[start + 14 : end]
        elif marker == _APP14 and data[start : start + 5] == b"Adobe" and end - start >= 12:
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


def checked_jpeg(data: bytes, header: Header, max_pixels: int) -> bytes:
    """Refuse a JPEG that is cut off, has a hole, or would keep a decoder busy out of proportion.

    A hole is a run of zero bytes, as a lost sector leaves it, where the Huffman tables give zeros another meaning than
    "no more coefficients in this block".  Whatever follows the end marker does not count.

    Returns
    -------
    bytes
        `data` without zeros before the end marker: padding is not missed, and a picture that ran on in them now breaks
        off for the decoder too.

    Raises
    ------
    SampleError
        ``"truncated"``, ``"corrupt"`` or ``"too-large"``.
    """
    scans, marker, last_scan_end, zeros_are_coefficients, hole = 0, 0, 0, False, False
    sequential = header.process in ("baseline", "SOF1", "SOF9")
    limit = _MAX_SEQUENTIAL_SCANS if sequential else _MAX_PROGRESSIVE_SCANS
    for marker, start, end, scan_end in _segments(data):
        if marker == _DHT and sequential:
            zeros_are_coefficients |= _codes_coefficients_by_zeros(data[start:end])
        elif marker == _SOS:
            scans += 1
            last_scan_end = scan_end
            hole |= zeros_are_coefficients and _has_hole(data, end, scan_end)
            if scans > limit:
                raise SampleError("corrupt", f"the JPEG has more than {limit} scans")
    if marker != _EOI:
        raise SampleError("truncated", "the JPEG breaks off before its end")
    check_budget(header, max_pixels, passes=scans)
    if hole:
        raise SampleError("corrupt", "the JPEG has a hole of zero bytes in its picture")
    if data[last_scan_end - len(_HOLE) : last_scan_end] != _HOLE:
        return data
    return data[:last_scan_end].rstrip(b"\0") + b"\0" + data[last_scan_end:]  # one zero may belong to a stuffed byte


def jpeg_essentials(data: bytes) -> bytes:
    """Rewrite a JPEG with what its pixels depend on and nothing else.

    Application segments and stray bytes between segments go, marks of unknown versions become known ones, and the
    spectral selection of sequential scans, which decoders ignore, becomes the prescribed one.  A decoder that still
    complains then speaks of the picture itself.
    """
    parts, sequential = [b"\xff\xd8"], False
    for marker, start, end, scan_end in _segments(data):
        body = data[start:end]
        sequential |= marker in _SEQUENTIAL
        if marker == _SOS and sequential:
            body = body[:-3] + b"\0\x3f\0"
        elif marker == _APP0 and body[:5] == b"JFIF\0":
            body = b"JFIF\0\1\1\0\0\1\0\1\0\0"
        elif marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            # Decoders take an unknown transform for YCbCr, with four components for YCCK.
            body = body[:11] + bytes([body[11] if body[11] <= 2 else 1])
        elif marker not in _NEEDED:
            continue
        parts += [b"\xff", bytes([marker]), struct.pack(">H", len(body) + 2), body, data[end:scan_end]]
    return b"".join([*parts, b"\xff\xd9"])


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield each segment of the file, at last the end marker if it is there."""
    at = 2
    for segment in _header_segments(data):
        yield segment
        at = segment.scan_end
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER_AFTER_SCAN.search(data, at)
        if marker and data[marker.start() + 1] == _EOI:
            yield _Segment(_EOI, marker.end(), marker.end(), marker.end())
            return
        following = _segment_at(data, marker.start()) if marker else None
        if following is None:
            return
        yield following
        at = following.scan_end
    raise SampleError("corrupt", f"the JPEG has more than {_MAX_SEGMENTS:,} segments in its picture")


def _header_segments(data: bytes) -> Iterator[_Segment]:
    """Yield each segment up to and with the first start of scan."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _HEADER_MARKER.search(data, at)
        if found and data[found.start() + 1] == _EOI:
            raise SampleError("corrupt", "the JPEG ends before its picture begins")
        segment = _segment_at(data, found.start()) if found else None
        if segment is None:
            raise SampleError("truncated", "the file ends inside its header")
        yield segment
        if segment.marker == _SOS:
            return
        at = segment.end
    raise SampleError("corrupt", f"the JPEG has more than {_MAX_SEGMENTS:,} segments before its picture")


def _segment_at(data: bytes, at: int) -> _Segment | None:
    """Return the segment whose marker stands at `at`; None if the file ends inside it."""
    if at + 4 > len(data):
        return None
    end = at + 2 + max(struct.unpack_from(">H", data, at + 2)[0], 2)
    if end > len(data):
        return None
    scan_end = end
    if data[at + 1] == _SOS:
        following = _MARKER_AFTER_SCAN.search(data, end)
        scan_end = following.start() if following else len(data)
    return _Segment(data[at + 1], at + 4, end, scan_end)


def _has_hole(data: bytes, start: int, end: int) -> bool:
    at = data.find(_HOLE, start, end)
    return at >= 0 and data[at:end].lstrip(b"\0") != b""


def _codes_coefficients_by_zeros(tables: bytes) -> bool:
    """Tell whether in any AC table of a DHT segment the code of zero bits stands for a coefficient.

    Codes are dealt out in order, so it belongs to the first symbol; the low half of a symbol is the coefficient's size.
    """
    at = 0
    while at + 17 < len(tables):
        if tables[at] >> 4 and tables[at + 17] & 15:
            return True
        at += 17 + sum(tables[at + 1 : at + 17])
    return False
