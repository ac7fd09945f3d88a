"""Files that are often found among pictures and cannot be read as one: what they are, and the remedy."""

from __future__ import annotations

import re

from sketchprep.errors import SampleError

__all__ = ["RAW", "name_foreign"]

RAW = "the raw data of a camera ({}) are not read; develop it to JPEG, PNG or TIFF"
_UNREAD = "{} pictures are not read; convert it to PNG or JPEG"
_SVG = "SVG drawings have no pixels; export it as PNG, at least as large as the pictures to be made"
_VIDEO = "the file is a video; extract its frames as PNG or JPEG"
_PAGE = "the file is a web page, no picture; the download went wrong"
_POINTER = "the file stands for a picture that Git LFS has not fetched; run `git lfs pull`"
_FOREIGN = (
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "unsupported", _UNREAD.format("JPEG XL")),
    (rb"\0\0\0\x0cjP  ", "unsupported", _UNREAD.format("JPEG 2000")),
    (rb"8BPS", "unsupported", _UNREAD.format("Photoshop")),
    (rb"(?=.{,4000}?<svg\b)(\xef\xbb\xbf)?\s*<(\?xml|!--|!DOCTYPE svg|svg)", "unsupported", _SVG),
    (rb"....ftypcrx ", "unsupported", RAW.format("CR3")),
    (rb"FUJIFILMCCD-RAW", "unsupported", RAW.format("RAF")),
    (rb"II(RO|RS|U\0)", "unsupported", RAW.format("ORF or RW2")),
    (rb"%PDF-", "not-a-picture", "the file is a PDF; export its page as PNG or JPEG"),
    (rb"(?i)\s*(<!doctype html|<html)", "not-a-picture", _PAGE),
    (rb"version https://git-lfs", "not-a-picture", _POINTER),
    (rb"....ftyp(isom|iso2|mp4|avc1|M4V |qt  )|\x1aE\xdf\xa3|RIFF....AVI ", "not-a-picture", _VIDEO),
)
_SIGNATURES = tuple((re.compile(signature, re.DOTALL), kind, message) for signature, kind, message in _FOREIGN)


def name_foreign(data: bytes) -> SampleError:
    """Return the error for data that are no picture that is known here: what else they are, where that can be told."""
    head = bytes(data[:4096])
    for signature, kind, message in _SIGNATURES:
        if signature.match(head):
            return SampleError(kind, message)
    return SampleError("not-a-picture", "the file is no picture that is known here")
