"""Decode JPEG with libjpeg-turbo, whose warnings tell a damaged picture from a sound one.

OpenCV and Pillow decode damaged files too, grey where data are missing, and print the warnings or drop them;
`simplejpeg` raises them, and gives the same pixels as OpenCV does.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from sketchprep.errors import SampleError
from sketchprep.io.header import Header
from sketchprep.io.jpeg import jpeg_essentials

__all__ = ["decode_jpeg"]

_PADDING = re.compile("([0-9]+) extraneous bytes before marker 0xd9")
# A byte or two before the end marker is what some encoders align their data by.
_MAX_PADDING = 2


def decode_jpeg(data: bytes, header: Header, colorspace: str, least: int = 0) -> np.ndarray:
    """Decode a JPEG that `sketchprep.io.jpeg.checked_jpeg` has passed, as it is stored: not turned upright.

    Warnings about the header (versions, stray bytes, application segments) and about padding before the end marker are
    let pass, for they say nothing of the picture.

    Parameters
    ----------
    colorspace : {"RGB", "GRAY", "CMYK"}
        CMYK is for pictures of four components only.
    least : int
        Decode at the smallest scale that keeps so many pixels each way; 0 for full scale.

    Returns
    -------
    ndarray of uint8, shape (H, W, C)

    Raises
    ------
    SampleError
        ``"unsupported"`` for other than 8 bits; ``"corrupt"`` if libjpeg-turbo warns of damaged data or gives up.
    """
    if header.bits != 8:
        raise SampleError("unsupported", f"a JPEG of {header.bits} bits is not read; save it with 8 bits, or as PNG")
    scale = {"min_height": least, "min_width": least}
    try:
        return simplejpeg.decode_jpeg(data, colorspace, **scale)
    except ValueError:
        essentials = jpeg_essentials(data)
    try:
        return simplejpeg.decode_jpeg(essentials, colorspace, **scale)
    except ValueError as error:
        message = str(error)
    if "memory" in message.lower():
        raise MemoryError(message)
    padding = _PADDING.search(message)
    if not padding or int(padding[1]) > _MAX_PADDING:
        kind = "unsupported" if message.startswith("Unsupported JPEG process") else "corrupt"
        raise SampleError(kind, f"the JPEG cannot be decoded: {message.removeprefix('Corrupt JPEG data: ')}")
    return simplejpeg.decode_jpeg(essentials, colorspace, **scale, strict=False)
