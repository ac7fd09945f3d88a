"""Decode and encode pictures: the only place that knows about file formats and colour profiles.

JPEG files are decoded by libjpeg-turbo (see `sketchprep.io.jpeg_decoder`) and plain 8-bit PNG files by OpenCV, which is
about 1.4 times as fast as Pillow; CMYK and what has a palette, transparency or another format goes through Pillow.
All give the same array for the same file.  Files are not trusted: they are held to a budget before any decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from sketchprep.errors import SampleError
from sketchprep.io.color import convert_profile, is_srgb, over, visible_ink
from sketchprep.io.decoder_output import caught_output
from sketchprep.io.header import MAX_PIXELS, Header, check_budget
from sketchprep.io.jpeg import checked_jpeg, jpeg_essentials
from sketchprep.io.jpeg_decoder import decode_jpeg
from sketchprep.io.pillow_decoder import decode_indices, decode_pillow
from sketchprep.io.png import png_essentials
from sketchprep.io.probe import probe

__all__ = [
    "MAX_PIXELS",
    "Header",
    "decode",
    "decode_drawing",
    "decode_gray",
    "decode_labels",
    "decode_small",
    "encode_jpeg",
    "encode_png",
    "probe",
    "stores_as_is",
]

# Each failure becomes a row with its reason; OpenCV's own lines on stderr would only tear the progress bar.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@contextmanager
def _memory_is_a_budget() -> Iterator[None]:
    """Name a picture as what the machine's memory does not hold; the next one may be smaller."""
    try:
        yield
    except MemoryError:
        message = "too little memory to decode the picture; raise the process's limit, and build with --retry-failed"
        raise SampleError("out-of-memory", message) from None


@_memory_is_a_budget()
def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a picture to upright sRGB.

    The EXIF orientation is applied, a colour profile is converted to sRGB (an unreadable one is ignored), transparency
    is composed over white, 16 bits become 8 by rounding v / 257, grey is replicated, and of an animation the first
    frame is taken.

    Parameters
    ----------
    data : bytes
        The encoded file: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, or HEIC where ``pillow-heif`` is installed.
    max_pixels : int
        Larger pictures are refused by their header.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB, contiguous.

    Raises
    ------
    SampleError
        Of kind ``"empty"``, ``"not-a-picture"``, ``"truncated"``, ``"corrupt"``, ``"unsupported"``, ``"too-large"``
        (the message names the budget that it breaks) or ``"out-of-memory"``.
    """
    return _decode(*_checked(data, max_pixels), max_pixels)


@_memory_is_a_budget()
def decode_drawing(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a drawing in the colours it has: as `decode`, but light ink on a transparent page is seen.

    Parameters
    ----------
    data : bytes
        The encoded file.
    max_pixels : int
        Larger pictures are refused by their header.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB; grey where the file is, its values kept as by `decode_gray`.

    Raises
    ------
    SampleError
        As `decode`.
    """
    header, data = _checked(data, max_pixels)
    if header.mode in ("1", "L") and not header.transparent:
        return _decode_gray(header, data, max_pixels)
    on_white = _decode(header, data, max_pixels)
    if header.format == "JPEG" or (header.format == "PNG" and not header.transparent):
        return on_white
    return visible_ink(on_white, _decode(header, data, max_pixels, ground=0))


@_memory_is_a_budget()
def decode_gray(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a sketch or a mask to upright grey.

    Colours become luma by the weights .299, .587, .114; transparency is composed over white.  The values of an 8-bit
    grey picture are kept exactly, whatever profile it carries.

    Parameters
    ----------
    data : bytes
        The encoded file.
    max_pixels : int
        Larger pictures are refused by their header.

    Returns
    -------
    ndarray of uint8, shape (H, W)

    Raises
    ------
    SampleError
        As `decode`.
    """
    return _decode_gray(*_checked(data, max_pixels), max_pixels)


def _decode_gray(header: Header, data: bytes, max_pixels: int) -> np.ndarray:
    """`decode_gray` of what `_checked` returned."""
    plain = header.mode == "L" or not header.icc or is_srgb(header.icc, header.mode)
    if header.format == "JPEG" and header.mode != "CMYK" and plain:
        return _upright(decode_jpeg(data, header, "GRAY")[:, :, 0], header.orientation)
    if _opencv_reads(header) and plain:
        return _upright(_opencv(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION), header.orientation)
    return cv2.cvtColor(_decode(header, data, max_pixels), cv2.COLOR_RGB2GRAY)


@_memory_is_a_budget()
def decode_small(data: bytes, side: int, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode to upright grey; a JPEG at the smallest scale that keeps `side` pixels each way, which takes less time.

    Returns
    -------
    ndarray of uint8, shape (H, W)

    Raises
    ------
    SampleError
        As `decode`.
    """
    header, data = _checked(data, max_pixels)
    if header.format == "JPEG" and header.mode != "CMYK":
        return _upright(decode_jpeg(data, header, "GRAY", side)[:, :, 0], header.orientation)
    return _decode_gray(header, data, max_pixels)


@_memory_is_a_budget()
def decode_labels(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a label map: palette indices or 8-bit grey values, unchanged.

    Returns
    -------
    ndarray of uint8, shape (H, W)

    Raises
    ------
    SampleError
        As `decode`; ``"unsupported"`` if the picture has colours rather than indices.
    """
    header, data = _checked(data, max_pixels)
    if header.mode not in ("L", "P", "1") or header.bits > 8:
        raise SampleError("unsupported", f"a label map is an 8-bit grey or palette picture, this one is {header.mode}")
    if header.format == "JPEG":
        return _upright(decode_jpeg(data, header, "GRAY")[:, :, 0], header.orientation)
    return decode_indices(data, header, max_pixels)


def stores_as_is(data: bytes) -> bool:
    """Tell whether a photo's own bytes can be stored unchanged as a sample.

    True for a baseline or progressive 8-bit YCbCr JPEG of three components that is there to its end, upright by its
    EXIF data (if it has any) and in sRGB (by its profile or for want of one).  Whether the picture is damaged only
    `decode` can tell.  Never raises.
    """
    try:
        header = probe(data)
        if header.format == "JPEG":
            checked_jpeg(data, header, MAX_PIXELS)
        return (
            header.format == "JPEG"
            and header.process in ("baseline", "progressive")
            and (header.mode, header.bits, header.orientation, header.ycc) == ("RGB", 8, 1, True)
            and (header.icc is None or is_srgb(header.icc, header.mode))
        )
    except SampleError:
        return False


def encode_jpeg(photo: np.ndarray, *, quality: int = 95) -> bytes:
    """Encode as JPEG without chroma subsampling (4:4:4).

    Parameters
    ----------
    photo : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB, or grey.
    quality : int
        1 to 100.
    """
    pixels = photo if photo.ndim == 2 else cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    ok, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
    if not ok:
        raise ValueError(f"an array of shape {photo.shape} and type {photo.dtype} cannot be written as JPEG")
    return encoded.tobytes()


def encode_png(image: np.ndarray, *, level: int = 1) -> bytes:
    """Encode as PNG, without loss.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W) or (H, W, 3)
        Grey, or RGB.
    level : int
        zlib's level, 0 to 9.
    """
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ok, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, level])
    if not ok:
        raise ValueError(f"an array of shape {image.shape} and type {image.dtype} cannot be written as PNG")
    return encoded.tobytes()


def _checked(data: bytes, max_pixels: int) -> tuple[Header, bytes]:
    """Read the header; refuse what is too large, cut off or damaged before anything is decoded.

    Returns
    -------
    header : Header
    data : bytes
        What the decoder is to see.
    """
    header = probe(data)
    check_budget(header, max_pixels)
    if header.format == "JPEG":
        return header, checked_jpeg(data, header, max_pixels)
    return header, png_essentials(data) if header.format == "PNG" else data


def _decode(header: Header, data: bytes, max_pixels: int, *, ground: int = 255) -> np.ndarray:
    """Decode to upright sRGB what `_checked` returned; `ground` is the grey under what is transparent."""
    if header.format == "JPEG":
        return _decode_jpeg(data, header, max_pixels)
    if _opencv_reads(header) and not (header.icc and not is_srgb(header.icc, header.mode)):
        return _upright(_opencv(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION), header.orientation)
    if header.format == "PNG" and header.bits == 16:
        return _upright(_decode_16(data, header, ground), header.orientation)
    return decode_pillow(data, header, max_pixels, ground=ground)


def _opencv_reads(header: Header) -> bool:
    return header.format == "PNG" and header.bits == 8 and header.mode in ("L", "RGB") and not header.transparent


def _opencv(data: bytes, flags: int) -> np.ndarray:
    """Decode a PNG with OpenCV, and so with libpng, which only prints what it finds."""
    with caught_output() as lines:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            if error.code == cv2.Error.StsNoMem:
                raise MemoryError from None
            image = None
    faults = [line.partition(": ")[2] for line in lines if line.startswith("libpng error") or "checksum" in line]
    if image is None or faults:
        raise SampleError("corrupt", f"the PNG cannot be decoded: {faults[-1] if faults else 'its pixels are damaged'}")
    return image


def _decode_jpeg(data: bytes, header: Header, max_pixels: int) -> np.ndarray:
    """Decode to upright sRGB."""
    if header.mode == "CMYK":
        decode_jpeg(data, header, "CMYK")  # for its warnings; Pillow knows Adobe's ways of inverting
        return _upright(decode_pillow(jpeg_essentials(data), header, max_pixels), header.orientation)
    foreign = header.icc if header.icc and not is_srgb(header.icc, header.mode) else None
    photo = decode_jpeg(data, header, "GRAY" if foreign and header.mode == "L" else "RGB")
    if foreign:
        photo = convert_profile(photo[:, :, 0] if header.mode == "L" else photo, foreign)
    return _upright(photo, header.orientation)


def _decode_16(data: bytes, header: Header, ground: int) -> np.ndarray:
    """Decode a 16-bit PNG; Pillow would cut the low bytes off instead of rounding."""
    deep = _opencv(data, cv2.IMREAD_UNCHANGED)
    image = cv2.convertScaleAbs(deep, alpha=1 / 257)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    elif image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    else:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    photo = image[:, :, :3]
    if header.icc and header.mode in ("RGB", "RGBA"):
        photo = convert_profile(photo, header.icc)
    return photo if image.shape[2] == 3 else over(photo, image[:, :, 3], ground=ground)


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Apply the EXIF orientation."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 7, 6):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
