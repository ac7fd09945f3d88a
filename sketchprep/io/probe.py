"""Identify a picture's format and read its header without decoding it.

JPEG and PNG, nearly everything that arrives, are walked by `sketchprep.io.jpeg` and `sketchprep.io.png`; Pillow reads
the headers of the rest.  Pillow is not asked for the first two: it does not tell a file that is cut off from one that
is damaged, nor arithmetic coding from Huffman coding, and shows 16-bit channels only by private attributes.  Nothing
here allocates more than the header's own size, whatever dimensions it claims.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from typing import TYPE_CHECKING

from sketchprep.errors import SampleError
from sketchprep.io.foreign import name_foreign
from sketchprep.io.header import Header
from sketchprep.io.jpeg import probe_jpeg
from sketchprep.io.png import probe_png
from sketchprep.io.tiff import check_strips, check_tiff, name_unread_tiff

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["open_pillow", "probe", "sniff"]

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "PPM")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
# Pillow says what it finds by exceptions too; without a handler its log would go to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())
_BMP_HEADERS = (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")

_MAX_SLOW_BYTES = 4_000_000


def probe(data: bytes) -> Header:
    """Read a picture's header.

    Parameters
    ----------
    data : bytes
        The whole encoded file.

    Raises
    ------
    SampleError
        ``"empty"``, ``"not-a-picture"``, ``"truncated"`` (the file ends inside its header), ``"corrupt"``, or
        ``"unsupported"`` where no decoder is installed.
    """
    if not data:
        raise SampleError("empty", "the file is empty")
    kind = sniff(data)
    if kind == "JPEG":
        return probe_jpeg(data)
    if kind == "PNG":
        return probe_png(data)
    if kind == "HEIC":
        return Header("HEIC", 0, 0, "RGB")
    if not kind:
        raise name_foreign(data)
    if kind == "TIFF":
        check_strips(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = open_pillow(data)
        if kind == "TIFF":
            check_tiff(image.tag_v2)  # type: ignore[attr-defined]
    _check_codec(image, len(data))
    return Header(kind, *image.size, image.mode)


def _check_codec(image: Image.Image, size: int) -> None:
    """Refuse a large picture of the few codecs that Pillow has in Python: plain or odd PPM, run-length coded BMP."""
    from PIL import Image

    slow = {tile[0] for tile in image.tile} & Image.DECODERS.keys()  # type: ignore[attr-defined]
    if slow and size > _MAX_SLOW_BYTES:
        raise SampleError(
            "too-large",
            f"{size / 1e6:.0f} MB stored in an old way ({', '.join(slow)}) take minutes to decode, and "
            f"{_MAX_SLOW_BYTES / 1e6:.0f} MB are the limit; save it as PNG",
        )


def sniff(data: bytes) -> str:
    """Name the format by the first bytes; ``""`` if they are no known picture's."""
    head = bytes(data[:32])
    if head[:2] == b"\xff\xd8":
        return "JPEG"
    if head[:8] == _PNG_SIGNATURE or (head and _PNG_SIGNATURE.startswith(head)):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _sniff_ftyp(data)
    for magic, name in (
        (b"GIF8", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
    ):
        if head.startswith(magic):
            return name
    if head[:2] == b"BM" and head[14:18] in _BMP_HEADERS:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    return ""


def _sniff_ftyp(data: bytes) -> str:
    length = min(max(struct.unpack(">I", data[:4])[0], 16), 256)
    brands = {bytes(data[8:12])} | {bytes(data[i : i + 4]) for i in range(16, length, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else ""


def open_pillow(data: bytes) -> Image.Image:
    """Open with Pillow, restricted to formats that are decoded in this process; the header only is read.

    Raises
    ------
    SampleError
        As `probe`; also ``"too-large"`` past Pillow's own limit for decompression bombs.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
    except Image.DecompressionBombError as error:
        raise SampleError("too-large", f"the header claims far too many pixels ({error})") from None
    except UnidentifiedImageError:
        if sniff(data) == "TIFF":
            raise name_unread_tiff(data) from None
        if sniff(data) == "AVIF" and not _pillow_has_avif():
            message = "AVIF needs a decoder: install a Pillow wheel with AVIF (pip install -U pillow)"
            raise SampleError("unsupported", message) from None
        raise SampleError("corrupt", "the header cannot be read") from None
    except Exception as error:
        raise SampleError("corrupt", f"the header cannot be read ({error})") from None


def _pillow_has_avif() -> bool:
    from PIL import features

    return bool(features.check("avif"))
