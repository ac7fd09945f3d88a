"""The mark in sketches and contact sheets that commands write, by which a later build tells them from photos."""

from __future__ import annotations

import struct
import zlib

__all__ = ["is_marked", "mark", "stage_of"]


def _chunk(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + b"tEXt" + text + struct.pack(">I", zlib.crc32(b"tEXt" + text))


_CHUNK = _chunk(b"Software\0sketchprep sketch")
_STAGE = b"sketchprep stage\0"
_COMMENT = b"sketchprep contact sheet"
_SEGMENT = b"\xff\xfe" + struct.pack(">H", len(_COMMENT) + 2) + _COMMENT
_PNG_HEAD = 33  # bytes of a PNG's signature and header


def mark(data: bytes, stage: str = "") -> bytes:
    """Put the mark into an encoded PNG or JPEG: a text chunk, or a comment, after its header.

    A PNG also tells which stage made it, if one is named.
    """
    at, addition = (_PNG_HEAD, _CHUNK) if data[1:4] == b"PNG" else (_jpeg_head(data), _SEGMENT)
    if stage and addition is _CHUNK:
        addition += _chunk(_STAGE + stage.encode())
    return data[:at] + addition + data[at:]


def stage_of(data: bytes) -> str | None:
    """The stage that a marked PNG tells; None if there is none."""
    at = _PNG_HEAD + len(_CHUNK) + 8
    if not data.startswith(_CHUNK, _PNG_HEAD) or not data.startswith(_STAGE, at):
        return None
    (size,) = struct.unpack_from(">I", data, at - 8)
    return data[at + len(_STAGE) : at + size].decode(errors="replace")


def is_marked(data: bytes) -> bool:
    """Tell whether an encoded picture bears the mark."""
    return data.startswith(_CHUNK, _PNG_HEAD) or data.startswith(_SEGMENT, _jpeg_head(data))


def _jpeg_head(data: bytes) -> int:
    """Bytes of a JPEG's first marker and of the JFIF header that follows it."""
    return 4 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 2
