"""Files that are often found among pictures and cannot be read as one: what they are, and the remedy."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from sketchprep.errors import SampleError

__all__ = ["check_tiff", "name_foreign", "name_unread_tiff"]

_RAW = "the raw data of a camera ({}) are not read; develop it to JPEG, PNG or TIFF"
_UNREAD = "{} pictures are not read; convert it to PNG or JPEG"
_SVG = "SVG drawings have no pixels; export it as PNG, at least as large as the pictures to be made"
_VIDEO = "the file is a video; extract its frames as PNG or JPEG"
_PAGE = "the file is a web page, no picture; the download went wrong"
_POINTER = "the file stands for a picture that Git LFS has not fetched; run `git lfs pull`"
_FOREIGN = (
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "unsupported", _UNREAD.format("JPEG XL")),
    (rb"\0\0\0\x0cjP  ", "unsupported", _UNREAD.format("JPEG 2000")),
    (rb"8BPS", "unsupported", _UNREAD.format("Photoshop")),
    (rb"(?s)\s*(<\?xml.{,1000}?|<!--.{,1000}?|<!DOCTYPE svg.{,1000}?)*<svg[\s>]", "unsupported", _SVG),
    (rb"....ftypcrx ", "unsupported", _RAW.format("CR3")),
    (rb"FUJIFILMCCD-RAW", "unsupported", _RAW.format("RAF")),
    (rb"II(RO|RS|U\0)", "unsupported", _RAW.format("ORF or RW2")),
    (rb"%PDF-", "not-a-picture", "the file is a PDF; export its page as PNG or JPEG"),
    (rb"(?i)\s*(<!doctype html|<html)", "not-a-picture", _PAGE),
    (rb"version https://git-lfs", "not-a-picture", _POINTER),
    (rb"....ftyp(isom|iso2|mp4|avc1|M4V |qt  )|\x1aE\xdf\xa3|RIFF....AVI ", "not-a-picture", _VIDEO),
)
_SIGNATURES = tuple((re.compile(signature, re.DOTALL), kind, message) for signature, kind, message in _FOREIGN)

_SUBFILE, _BITS, _PHOTOMETRIC, _PLANAR, _SUBIFDS, _SAMPLE_FORMAT, _DNG_VERSION = 254, 258, 262, 284, 330, 339, 50706
_REDUCED, _SEPARATE_PLANES, _FLOATING_POINT = 1, 2, 3


def name_foreign(data: bytes) -> SampleError:
    """Return the error for data that are no picture that is known here: what else they are, where that can be told."""
    head = bytes(data[:4096])
    for signature, kind, message in _SIGNATURES:
        if signature.match(head):
            return SampleError(kind, message)
    return SampleError("not-a-picture", "the file is no picture that is known here")


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
        raise SampleError("unsupported", _RAW.format("DNG"))
    if _SUBIFDS in tags and tags.get(_SUBFILE, 0) & _REDUCED:
        raise SampleError("unsupported", _RAW.format("a TIFF that begins with a preview"))
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
