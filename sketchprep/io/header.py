"""What a picture's header says, the budget that decoding it may use, and its EXIF orientation."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from sketchprep.errors import SampleError

__all__ = ["MAX_PIXELS", "Header", "check_budget", "check_size", "exif_orientation"]

MAX_PIXELS = 100_000_000
# Bytes a pixel decodes to; modes that are not here take four.  Pillow decodes WebP to RGBA and holds a second frame.
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "LA": 2, "PA": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "WEBP": 6}
# The limit on pixels is one on bytes too, as of RGB; small pictures may be as deep as they like.
_BYTES_OF_LIMIT, _FREE_BYTES = 3, 16 << 20
# A progressive photo has ten to fifteen scans, and each goes over all its pixels.
_PASSES_OF_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says.

    Attributes
    ----------
    format : str
        ``"JPEG"``, ``"PNG"``, ``"WEBP"``, ``"GIF"``, ``"BMP"``, ``"TIFF"``, ``"AVIF"``, ``"HEIC"`` or ``"PPM"``.
    width, height : int
        Pixels as stored, before the EXIF orientation is applied; 0 for HEIC, whose header is left to its decoder.
    mode : str
        ``"L"``, ``"LA"``, ``"P"``, ``"RGB"``, ``"RGBA"`` or ``"CMYK"`` (which also stands for YCCK); for other formats
        Pillow's word.
    bits : int
        Bits of one channel.
    orientation : int
        EXIF orientation, 1 to 8; always 1 where a decoder applies it itself (all but JPEG and PNG).
    icc : bytes or None
        The embedded colour profile (JPEG and PNG only).
    transparent : bool
        True if there is an alpha channel or a transparent colour.
    process : str
        JPEG only: ``"baseline"``, ``"progressive"``, or ``"SOFn"`` for the rarer ones.
    ycc : bool
        JPEG only: True if three components are stored as YCbCr, False if as RGB.
    """

    format: str
    width: int
    height: int
    mode: str
    bits: int = 8
    orientation: int = 1
    icc: bytes | None = field(default=None, repr=False)
    transparent: bool = False
    process: str = ""
    ycc: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise SampleError(
            "too-large",
            f"the picture has {width}×{height} pixels, over the limit of {max_pixels / 1e6:g} megapixels; shrink it",
        )


def check_budget(header: Header, max_pixels: int, *, passes: int = 1) -> None:
    """Refuse by its header a picture whose decoding would take too much memory or time.

    Parameters
    ----------
    header : Header
    max_pixels : int
        The limit; bytes and passes have theirs in proportion.
    passes : int
        How often a decoder goes over all pixels: the scans of a JPEG.

    Raises
    ------
    SampleError
        ``"too-large"``, with the budget that was broken.
    """
    width, height = header.width, header.height
    check_size(width, height, max_pixels)
    mode = header.format if header.format in _PIXEL_BYTES else "RGBA" if header.transparent else header.mode
    size = width * height * _PIXEL_BYTES.get(mode, 4) * max(header.bits // 8, 1)
    limit = max(_BYTES_OF_LIMIT * max_pixels, _FREE_BYTES)
    if size > limit:
        raise SampleError(
            "too-large",
            f"{width}×{height} pixels of {header.format} ({header.mode}) decode to {size / 1e6:.0f} MB, over the limit "
            f"of {limit / 1e6:.0f} MB; shrink the picture, or save it as 8-bit RGB JPEG or PNG",
        )
    if passes > 1 and width * height * passes > _PASSES_OF_LIMIT * max_pixels:
        raise SampleError(
            "too-large",
            f"the picture goes over its {width}×{height} pixels in {passes} scans, which takes too long to decode; "
            "save it again",
        )


def exif_orientation(tiff: bytes) -> int:
    """Orientation of an EXIF block: tag 0x0112 in the first directory; 1 if it is absent or makes no sense."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(tiff[:4]))
    if order is None or len(tiff) < 10:
        return 1
    at = struct.unpack_from(f"{order}I", tiff, 4)[0]
    if at + 2 > len(tiff):
        return 1
    for index in range(struct.unpack_from(f"{order}H", tiff, at)[0]):
        entry = at + 2 + 12 * index
        if entry + 12 > len(tiff):
            return 1
        tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
        if tag == 0x0112:
            value = struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", tiff, entry + 8)[0]
            return value if 1 <= value <= 8 else 1
    return 1
