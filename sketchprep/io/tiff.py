"""TIFF files that Pillow would misread, or not read in reasonable time."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sketchprep.errors import SampleError
from sketchprep.io.foreign import RAW

__all__ = ["check_strips", "check_tiff", "name_unread_tiff"]

_STRIPS, _TILES = 273, 324
# One strip for each row of the tallest picture that the limit on pixels is made for.
_MAX_STRIPS = 1 << 16
_SUBFILE, _BITS, _PHOTOMETRIC, _PLANAR, _SUBIFDS, _SAMPLE_FORMAT, _DNG_VERSION = 254, 258, 262, 284, 330, 339, 50706
_REDUCED, _SEPARATE_PLANES, _FLOATING_POINT = 1, 2, 3


def check_strips(data: bytes) -> None:
    """Refuse a TIFF of millions of strips, before Pillow makes a list of them.

    Raises
    ------
    SampleError
        ``"corrupt"``.
    """
    order, big = "<" if data[:2] == b"II" else ">", b"+" in data[2:4]
    first, number, entry = ("8xQ", "Q", "HHQ8x") if big else ("4xI", "H", "HHI4x")
    with suppress(struct.error):  # then Pillow has the words for it
        at = struct.unpack_from(order + first, data)[0]
        count = struct.unpack_from(order + number, data, at)[0]
        at += struct.calcsize(order + number)
        for _ in range(min(count, _MAX_STRIPS)):
            tag, _, values = struct.unpack_from(order + entry, data, at)
            if tag in (_STRIPS, _TILES) and values > _MAX_STRIPS:
                raise SampleError("corrupt", f"the TIFF has {values:,} strips or tiles; the limit is {_MAX_STRIPS:,}")
            at += struct.calcsize(order + entry)


def check_tiff(tags: Mapping[int, Any]) -> None:
    """Refuse a TIFF that Pillow takes for something else than it is.

    Of raw data it would decode the small preview in front, and it mixes up 16-bit channels that lie in separate planes.

    Parameters
    ----------
    tags : mapping
        Of the first directory.

    Raises
    ------
    SampleError
        ``"unsupported"``.
    """
    if _DNG_VERSION in tags:
        raise SampleError("unsupported", RAW.format("DNG"))
    if _SUBIFDS in tags and tags.get(_SUBFILE, 0) & _REDUCED:
        raise SampleError("unsupported", RAW.format("a TIFF that begins with a preview"))
    if tags.get(_PLANAR) == _SEPARATE_PLANES and max(tags.get(_BITS, (1,))) > 8:
        raise _unsupported_tiff(tags)


def name_unread_tiff(data: bytes) -> SampleError:
    """Return the error for a TIFF whose header Pillow does not take."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file = io.BytesIO(data)
    try:
        big = b"+" in data[2:4]
        directory = ImageFileDirectory_v2(file.read(16 if big else 8))
        file.seek(directory.next)
        directory.load(file)
        check_tiff(directory)
        return _unsupported_tiff(directory)
    except SampleError as error:
        return error
    except Exception:
        return SampleError("corrupt", "the header of the TIFF cannot be read")


def _unsupported_tiff(tags: Mapping[int, Any]) -> SampleError:
    kind = "floating point" if _FLOATING_POINT in tags.get(_SAMPLE_FORMAT, ()) else "integers"
    layout = f"{max(tags[_BITS])}-bit {kind}, photometric kind {tags[_PHOTOMETRIC]}"
    return SampleError("unsupported", f"a TIFF of this layout ({layout}) is not read; save it as 8-bit RGB or grey")
