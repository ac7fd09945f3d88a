"""Decode with Pillow what OpenCV does not read, or not in sRGB: palettes, transparency, profiles, other formats."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sketchprep.errors import SampleError
from sketchprep.io.color import convert_profile, over
from sketchprep.io.decoder_output import caught_output
from sketchprep.io.header import Header, check_size
from sketchprep.io.probe import open_pillow

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["decode_indices", "decode_pillow", "to_srgb"]

_PHOTOMETRIC = 262  # the TIFF tag
_BAND = 256  # rows


def decode_pillow(data: bytes, header: Header, max_pixels: int, *, ground: int = 255) -> np.ndarray:
    """Decode to upright sRGB, (H, W, 3) uint8; raises as `sketchprep.io.images.decode`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _load_pillow(data, header, max_pixels)
        return to_srgb(image, header.icc or image.info.get("icc_profile"), ground=ground)


def to_srgb(image: Image.Image, icc: bytes | None = None, *, ground: int = 255) -> np.ndarray:
    """Bring a PIL image of any mode to sRGB: its profile applied, transparency over a grey, 16 bits rounded to 8.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    SampleError
        ``"unsupported"`` for 32 bits a channel.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if image.mode in ("F", "I"):
            raise SampleError("unsupported", "pictures of 32 bits a channel are not read; convert it to 8 or 16 bits")
        photo = np.empty((image.height, image.width, 3), np.uint8)
        for top in range(0, image.height, _BAND):  # the steps between would take several times the picture's memory
            bottom = min(top + _BAND, image.height)
            photo[top:bottom] = _band_to_srgb(image.crop((0, top, image.width, bottom)), icc, ground)
        return photo


def _band_to_srgb(image: Image.Image, icc: bytes | None, ground: int) -> np.ndarray:
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint16)
        return cv2.cvtColor(cv2.convertScaleAbs(deep, alpha=1 / 257), cv2.COLOR_GRAY2RGB)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    photo = convert_profile(image, icc) if icc else np.array(image.convert("RGB"))
    return photo if alpha is None else over(photo, alpha, ground=ground)


def decode_indices(data: bytes, header: Header, max_pixels: int) -> np.ndarray:
    """Decode palette indices or grey values unchanged, upright, (H, W) uint8."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array(_load_pillow(data, header, max_pixels), dtype=np.uint8)


def _load_pillow(data: bytes, header: Header, max_pixels: int) -> Image.Image:
    """Decode with Pillow to an upright picture in its own mode."""
    from PIL import Image, ImageOps

    image = _open_heic(data, max_pixels) if header.format == "HEIC" else open_pillow(data)
    check_size(*image.size, max_pixels)
    try:
        with caught_output() as lines:
            image.load()
        if lines:
            raise OSError(lines[-1].partition(": ")[2])
        upright = ImageOps.exif_transpose(image)
        # Pillow inverts TIFFs in which zero is white, but not those of 16 bits.
        white_is_zero = header.mode.startswith("I;16") and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        return Image.fromarray(~np.asarray(upright, np.uint16)) if white_is_zero else upright
    except Image.DecompressionBombError as error:
        raise SampleError("too-large", str(error)) from None
    except MemoryError:
        raise
    except Exception as error:
        words = str(error).lower()
        short = isinstance(error, EOFError) or any(w in words for w in ("truncated", "premature", "end of file"))
        kind = "truncated" if short else "corrupt"
        raise SampleError(kind, f"the {header.format} cannot be decoded ({' '.join(str(error).split())})") from None


def _open_heic(data: bytes, max_pixels: int) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        message = "HEIC pictures need a decoder: install sketchprep[heic], or convert it to JPEG"
        raise SampleError("unsupported", message) from None
    try:
        heic = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
        width, height = heic.size
        check_size(width, height, max_pixels)
        return heic.to_pillow()
    except SampleError:
        raise
    except Exception as error:
        raise SampleError("corrupt", f"the HEIC cannot be decoded ({' '.join(str(error).split())})") from None
