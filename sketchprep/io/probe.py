"""Read what a picture's header says without decoding the picture.

JPEG and PNG, nearly everything that arrives, are walked here in a few microseconds; Pillow reads the headers of the
rest.  Nothing in this module allocates more than the header's own size, whatever dimensions it claims.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sketchprep.errors import SampleError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Header", "jpeg_ends", "png_is_sound", "probe", "sniff"]

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "PPM")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_BMP_HEADERS = (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
_AVIF_BRANDS = {b"avif", b"avis"}
_MAX_PROFILE = 8 << 20
# More scans than any real progressive file has; a small file with thousands of them keeps a decoder busy for hours.
_MAX_SCANS = 200


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
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (b"8BPS", "Photoshop"),
    ):
        if head.startswith(magic):
            return name
    if (
        head[:2] == b"BM"
        and len(head) > 17
        and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    ):
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
        return _probe_jpeg(data)
    if kind == "PNG":
        return _probe_png(data)
    if kind == "HEIC":
        return Header("HEIC", 0, 0, "RGB")
    if not kind:
        raise SampleError("not-a-picture", "the file is no picture that is known here")
    if kind in ("JPEG XL", "JPEG 2000", "Photoshop"):
        raise SampleError("unsupported", f"{kind} pictures are not read; convert it to PNG or JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = open_pillow(data)
    return Header(kind, *image.size, image.mode)


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
        if sniff(data) == "AVIF" and not _pillow_has_avif():
            message = "AVIF needs a decoder: install a Pillow wheel with AVIF (pip install -U pillow)"
            raise SampleError("unsupported", message) from None
        raise SampleError("corrupt", "the header cannot be read") from None
    except Exception as error:
        raise SampleError("corrupt", f"the header cannot be read ({error})") from None


def _pillow_has_avif() -> bool:
    from PIL import features

    return bool(features.check("avif"))


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


def _probe_jpeg(data: bytes) -> Header:
    frame: tuple[int, int, int, int, int] | None = None
    orientation, adobe, profile, ids = 1, -1, {}, b""
    for marker, start, end in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and end - start >= 6:
            bits, height, width, parts = struct.unpack_from(">BHHB", data, start)
            frame, ids = (marker, bits, height, width, parts), bytes(data[start + 6 : end : 3])
        elif marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _exif_orientation(data[start + 6 : end])
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


def _exif_orientation(tiff: bytes) -> int:
    """Find tag 0x0112 in the first directory; 1 if it is absent or makes no sense."""
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


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each chunk; ends silently where the file does."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        yield kind, at + 8, at + 8 + length
        if kind == b"IEND":
            return
        at += 12 + length


def _probe_png(data: bytes) -> Header:
    header: tuple[int, int, int, int] | None = None
    orientation, icc, transparent = 1, None, False
    for kind, start, end in _png_chunks(data):
        if kind == b"IHDR" and end - start == 13:
            header = struct.unpack_from(">IIBB", data, start)
        elif header is None:
            raise SampleError("corrupt", "the PNG does not begin with its header")
        elif kind == b"iCCP":
            icc = _inflate_profile(data[start:end])
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            orientation = _exif_orientation(data[start:end])
    if header is None:
        raise SampleError("truncated", "the file ends inside its header")
    width, height, bits, colour = header
    mode = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}.get(colour)
    if not width or not height or mode is None:
        raise SampleError("corrupt", f"the PNG claims {width}×{height} pixels of colour type {colour}")
    transparent |= mode in ("LA", "RGBA")
    return Header("PNG", width, height, mode, bits, orientation, icc, transparent)


def _inflate_profile(chunk: bytes) -> bytes | None:
    name_end = chunk.find(b"\0")
    if name_end < 0:
        return None
    try:
        return zlib.decompressobj().decompress(chunk[name_end + 2 :], _MAX_PROFILE) or None
    except zlib.error:
        return None


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


def png_is_sound(data: bytes) -> bool:
    """Tell whether a PNG is there to its end; its checksums are verified.

    Raises
    ------
    SampleError
        ``"corrupt"`` if a checksum is wrong.
    """
    kind = b""
    view = memoryview(data)
    for kind, start, end in _png_chunks(data):
        if zlib.crc32(view[start - 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            name = kind.decode("ascii", "replace")
            raise SampleError("corrupt", f"the checksum of the PNG's {name} chunk at byte {start - 8} is wrong")
    return kind == b"IEND"
