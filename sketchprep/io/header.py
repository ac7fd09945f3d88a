"""What a picture's header says, the limit on its pixels, and its EXIF orientation."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from sketchprep.errors import SampleError

__all__ = ["MAX_PIXELS", "Header", "check_size", "exif_orientation"]

MAX_PIXELS = 100_000_000


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
