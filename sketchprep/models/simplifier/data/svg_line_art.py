"""SVG line art as strokes: lines along their middle, black areas by their outline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.models.simplifier.data import strokes as vector

__all__ = ["FRAME", "Art", "load", "strokes_of"]

FRAME = 512
_MARGIN = 30
_INK = 90
_THICK = 7.0
_MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Art:
    """One drawing.

    Attributes
    ----------
    name : str
    picture : ndarray, (512, 512) uint8
        As drawn, black areas included, on white.
    strokes : list of ndarray, (N, 2) float32
        In the same pixels.
    """

    name: str
    picture: np.ndarray
    strokes: list[vector.Stroke]


def load(path: Path) -> Art:
    """Rasterise an SVG file and trace it.

    Raises
    ------
    SampleError
        If the file is too large, or no SVG that can be drawn.
    UserError
        If resvg_py is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        raise UserError(
            "line art needs the package resvg_py: install sketchprep[train], or set its share to 0"
        ) from None
    if path.stat().st_size > _MAX_BYTES:
        raise SampleError("too-large", f"the SVG is larger than {_MAX_BYTES / 1e6:g} MB")
    text = path.read_text("utf-8", errors="replace")
    try:
        data = resvg_py.svg_to_bytes(svg_string=text, background="#ffffff", height=FRAME, skip_system_fonts=True)
    except Exception as error:
        raise SampleError("corrupt", f"the SVG cannot be drawn ({' '.join(str(error).split())})") from None
    drawn = cv2.imdecode(np.frombuffer(bytes(data), np.uint8), cv2.IMREAD_GRAYSCALE)
    if drawn is None or min(drawn.shape) < 8 or max(drawn.shape) > 20 * FRAME:
        raise SampleError("corrupt", "the SVG gives no usable picture")
    fit = (FRAME - 2 * _MARGIN) / max(drawn.shape)
    size = (max(1, round(drawn.shape[1] * fit)), max(1, round(drawn.shape[0] * fit)))
    drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    picture = np.full((FRAME, FRAME), 255, np.uint8)
    y, x = (FRAME - size[1]) // 2, (FRAME - size[0]) // 2
    picture[y : y + size[1], x : x + size[0]] = drawn
    return Art(path.stem, picture, strokes_of(picture))


def strokes_of(picture: np.ndarray) -> list[vector.Stroke]:
    """Trace a drawing of thin lines and black areas, (H, W) uint8, black on white."""
    ink = picture < _INK
    depth = cv2.distanceTransform(ink.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    side = 2 * round(_THICK) + 3
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    area = (cv2.dilate((depth > _THICK).astype(np.uint8), disc) > 0) & ink
    outlines, _ = cv2.findContours(area.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    closed = [np.concatenate([o[:, 0], o[:1, 0]]).astype(np.float32) for o in outlines if len(o) >= 12]
    lines = vector.trace(ink & ~area, gap=0.0, spur=6.0, sigma=1.5)
    strokes = [*lines, *(vector.smooth(o, sigma=1.5) for o in closed)]
    return [s for s, length in zip(strokes, vector.lengths(strokes), strict=True) if length >= 8]
