"""Sketches as SVG outlines, traced by vtracer (optional dependency)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.ops.connected_components import drop_small

__all__ = ["require", "trace"]

# The tracer works on whole pixels; on an enlarged picture its outlines follow the soft edges more closely.
_ENLARGE = 3.0
_PIXELS = 16_000_000
# It numbers its areas with 16 bits and panics beyond.
_STROKES = 20_000


def require() -> Callable[..., str]:
    """Import vtracer's tracing function.

    Raises
    ------
    UserError
        If vtracer is not installed.
    """
    try:
        return importlib.import_module("vtracer").convert_raw_image_to_svg
    except ImportError:
        raise UserError("--svg needs the package vtracer; run `pip install 'sketchprep[svg]'`") from None


def trace(sketch: np.ndarray, *, threshold: int = 128, speck: int = 3) -> str:
    """Outline the ink of a sketch.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (H, W)
        Black ink on white.
    threshold : int
        Darker pixels are ink; 1 to 255.
    speck : int
        Areas of fewer pixels go.

    Returns
    -------
    str
        An SVG document of the sketch's width and height: filled black paths over a white ground, and nothing else.

    Raises
    ------
    UserError
        If vtracer is not installed.
    SampleError
        Of kind ``"too-many-strokes"`` above 20,000 separate areas of ink or of paper: noise rather than a drawing.

    Notes
    -----
    At most 16 million pixels are traced: smaller pictures are enlarged up to three times before, larger ones reduced.
    """
    convert = require()
    height, width = sketch.shape
    scale = min(_ENLARGE, (_PIXELS / (height * width)) ** 0.5)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    enlarged = cv2.resize(sketch, size, interpolation=cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA)
    ink = drop_small(enlarged < threshold, min_area=speck * scale * scale)
    for areas in (ink, ~ink):
        count = cv2.connectedComponents(areas.view(np.uint8), connectivity=4)[0] - 1
        if count > _STROKES:
            raise SampleError("too-many-strokes", f"{count:,} separate areas cannot be traced; tidy the drawing first")
    ok, png = cv2.imencode(".png", np.where(ink, 0, 255).astype(np.uint8))
    assert ok
    document = _convert(convert, png.tobytes())
    paths = document[document.find("<path") : document.rfind("</svg>")] if "<path" in document else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {size[0]} {size[1]}" '
        'preserveAspectRatio="none">\n'
        f'<rect width="{size[0]}" height="{size[1]}" fill="#ffffff"/>\n{paths.strip()}\n</svg>\n'
    )


def _convert(convert: Callable[..., str], png: bytes) -> str:
    options: dict[str, Any] = {"colormode": "binary", "mode": "spline", "filter_speckle": 0, "path_precision": 1}
    try:
        return convert(png, img_format="png", **options)
    except BaseException as error:
        # A panic in Rust arrives as an exception outside of Exception, of a class that cannot be imported.
        if type(error).__name__ not in ("PanicException", "ValueError"):
            raise
        raise SampleError("too-many-strokes", f"the drawing cannot be traced ({error}); tidy it first") from error
