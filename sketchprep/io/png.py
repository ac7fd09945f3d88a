"""PNG headers, walked chunk by chunk; checksums and truncation."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from sketchprep.errors import SampleError
from sketchprep.io.header import Header, exif_orientation

__all__ = ["png_essentials", "probe_png"]

_MAX_PROFILE = 8 << 20
# One IDAT for each 8 KB, as libpng writes them, makes a file of half a gigabyte.
_MAX_CHUNKS = 1 << 16
# The bit of a chunk's name, by which decoders know what they may skip.
_ANCILLARY = 0x20


def probe_png(data: bytes) -> Header:
    """Read a PNG's header; raises as `sketchprep.io.probe.probe`."""
    header: tuple[int, int, int, int] | None = None
    orientation, icc, profiles, transparent = 1, None, 0, False
    for kind, start, end in _png_chunks(data):
        if kind == b"IHDR" and end - start == 13:
            header = struct.unpack_from(">IIBB", data, start)
        elif header is None:
            raise SampleError("corrupt", "the PNG does not begin with its header")
        elif kind == b"iCCP":
            profiles += 1
            if profiles > 1:
                raise SampleError("corrupt", "the PNG has more than one colour profile")
            icc = _inflate_profile(data[start:end])
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            orientation = exif_orientation(data[start:end])
    if header is None:
        raise SampleError("truncated", "the file ends inside its header")
    width, height, bits, colour = header
    mode = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}.get(colour)
    if not width or not height or mode is None:
        raise SampleError("corrupt", f"the PNG claims {width}×{height} pixels of colour type {colour}")
    transparent |= mode in ("LA", "RGBA")
    return Header("PNG", width, height, mode, bits, orientation, icc, transparent)


def png_essentials(data: bytes) -> bytes:
    """Verify a PNG's checksums, and leave out the chunks that its pixels do not depend on.

    What decoders need not see they need not inflate: profiles and texts can be thousands of times as large as their
    chunks.

    Returns
    -------
    bytes
        Critical chunks, transparency and EXIF; `data` itself if that is all there is.

    Raises
    ------
    SampleError
        ``"corrupt"`` if a checksum is wrong, ``"truncated"`` if the file breaks off.
    """
    kind, view = b"", memoryview(data)
    kept = [view[:8]]
    for kind, start, end in _png_chunks(data):
        if zlib.crc32(view[start - 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            name = kind.decode("ascii", "replace")
            raise SampleError("corrupt", f"the checksum of the PNG's {name} chunk at byte {start - 8} is wrong")
        if not kind[0] & _ANCILLARY or kind in (b"tRNS", b"eXIf"):
            kept.append(view[start - 8 : end + 4])
    if kind != b"IEND":
        raise SampleError("truncated", "the PNG breaks off before its end")
    return data if sum(map(len, kept)) == len(data) else b"".join(kept)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each chunk; ends silently where the file does."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        yield kind, at + 8, at + 8 + length
        if kind == b"IEND":
            return
        at += 12 + length
    raise SampleError("corrupt", f"the PNG has more than {_MAX_CHUNKS:,} chunks")


def _inflate_profile(chunk: bytes) -> bytes | None:
    name_end = chunk.find(b"\0")
    if name_end < 0:
        return None
    try:
        return zlib.decompressobj().decompress(chunk[name_end + 2 :], _MAX_PROFILE) or None
    except zlib.error:
        return None
