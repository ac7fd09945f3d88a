"""Photocopy filter: GEGL's, the open equivalent of Photoshop's."""

import math
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops import recursive_blur
from sketchprep.ops._validation import Choice, Range, check_image, checked

_LUMINANCE = np.array([[0.2225, 0.7169, 0.0606]], np.float32)
_BINS = 1000
_BAND = 64
_WHITE = np.float32(65535.0)
_KEEP_BYTES = 1 << 27
_kept = threading.local()
_DEFAULTS = {"gegl": (10.0, 0.5), "classic": (8.0, 0.8)}


@checked
def photocopy(
    image: np.ndarray,
    *,
    variant: Annotated[str, Choice("gegl", "classic")] = "gegl",
    mask_radius: Annotated[float | None, Range(0, 50)] = None,
    sharpness: Annotated[float | None, Range(0, 1)] = None,
    black: Annotated[float, Range(0, 1)] = 0.2,
    white: Annotated[float, Range(0, 1)] = 0.2,
    threshold: Annotated[float, Range(0, 1, above=True)] = 0.75,
) -> np.ndarray:
    """Draw a picture as a photocopier would: dark where it is darker than its surroundings.

    The ratio of a slightly blurred to a strongly blurred luminance decides: below ``threshold`` a pixel keeps or
    deepens its tone, above it runs up to white.  How fast comes from the histogram of that ratio.

    Parameters
    ----------
    image : ndarray, (H, W, 3) or (H, W) uint8
        RGB or grey, sRGB.
    variant : {"gegl", "classic"}
        ``"gegl"`` equals GEGL's operation (0.4.42), which works in linear light and takes both ramps from the dark
        side of the histogram; ``"classic"`` is the filter as GIMP's plug-in designed it, on 8-bit luminance.
    mask_radius : float, 0 to 50
        Radius of the surroundings in pixels.  Default 10 for ``"gegl"``, 8 for ``"classic"``.  Larger: heavier ink.
    sharpness : float, 0 to 1
        How little the picture itself is blurred.  Default 0.5 for ``"gegl"``, 0.8 for ``"classic"``.
    black, white : float, 0 to 1
        Share of the pixels which the ramps drive to black and to white.  In ``"gegl"`` any ``black`` above 0 does the
        same.
    threshold : float, above 0, at most 1
        Ratio below which a pixel counts as dark.  GEGL does not offer it: 0.75 there.

    Returns
    -------
    ndarray, (H, W) uint8
        Black ink on white.

    Raises
    ------
    ValueError
        If a parameter or the image is outside what is stated above.

    Notes
    -----
    ``"gegl"``: the blurs are those of :mod:`sketchprep.ops.recursive_blur`, which continue the border.  The numbers are
    GEGL's to within one level of 255; only with a ``mask_radius`` near 50 do the rounding errors of its recursion show
    in almost black pictures, by up to three levels.
    ``"classic"``: true Gaussians with a continued border; where the surroundings are 2 or darker the ratio is 0.
    """
    check_image(image)
    radius, sharp = _DEFAULTS[variant]
    radius = radius if mask_radius is None else float(mask_radius)
    sharp = sharp if sharpness is None else float(sharpness)
    sd = deviations(radius, sharp)
    if variant == "gegl":
        return _gegl(image, sd, black, white, threshold)
    return _classic(image, sd, black, white, threshold)


def deviations(mask_radius: float, sharpness: float) -> tuple[float, float]:
    """Standard deviations (px) of the slight and the strong blur."""
    return _deviation(max(1.0, 10.0 * (1.0 - sharpness)) + 1.0), _deviation(mask_radius + 1.0)


def _deviation(radius: float) -> float:
    """Standard deviation (px) of the Gaussian that has fallen to 1/255 at ``radius``."""
    return radius / math.sqrt(2.0 * math.log(255.0))


def _gegl(image: np.ndarray, sd: tuple[float, float], black: float, white: float, threshold: float) -> np.ndarray:
    height, width = image.shape[:2]
    plane, scratch, near, far = _planes(height + recursive_blur.MARGIN, width + recursive_blur.MARGIN)
    _linear_luminance(image, plane)
    near = recursive_blur.blur(plane, sd=sd[0], out=near, scratch=scratch)
    far = recursive_blur.blur(plane, sd=sd[1], out=far, scratch=scratch)
    ratio, counts = _ratio(near, far, sd)
    up = _gegl_ramp(counts, white, threshold)
    result = np.empty((height, width), np.uint8)
    for band in _bands(height):
        result[band] = _encode(_gegl_tone(near[band], ratio[band], black > 0, up, threshold))
    if max(sd) < recursive_blur.RECURSIVE_FROM:
        result[np.isnan(ratio)] = 0
    return result


def _planes(height: int, width: int) -> np.ndarray:
    """Four float32 planes, kept from call to call of one thread: pictures of one size come in long rows."""
    planes = getattr(_kept, "planes", None)
    if planes is None or planes.shape[1:] != (height, width):
        planes = np.empty((4, height, width), np.float32)
        _kept.planes = planes if planes.nbytes <= _KEEP_BYTES else None
    return planes


def _gegl_tone(near: np.ndarray, ratio: np.ndarray, keep: bool, up: float, threshold: float) -> np.ndarray:
    """Linear tone: below the threshold ``near`` deepened (black unless ``keep``), above it a ramp up to white."""
    rise = ratio - np.float32(threshold)
    fall = np.minimum(rise, np.float32(0.0)) if keep else -(rise < 0).astype(np.float32)
    fall *= near
    rise *= np.float32(1.0 / up)
    np.clip(rise, 0.0, 1.0, out=rise)
    tone = _WHITE - near
    tone *= rise
    tone += near
    tone += fall
    return tone


def _gegl_ramp(counts: np.ndarray, white: float, threshold: float) -> float:
    """Width of the upper ramp, which GEGL measures below the threshold (its designed place is above it)."""
    counts = counts[: math.ceil(threshold * _BINS)]
    if white == 0 or not counts.any():
        return 1.0
    first = _first_above(counts, white)
    return 1e-6 if first is None else max(1e-6, threshold - first / _BINS)


def _classic(image: np.ndarray, sd: tuple[float, float], black: float, white: float, threshold: float) -> np.ndarray:
    plane = _luma(image)
    near, far = (cv2.GaussianBlur(plane, (0, 0), s, borderType=cv2.BORDER_REPLICATE) for s in sd)
    ratio = np.where(far > 2.0, near / np.maximum(far, np.float32(1.0)), np.float32(0.0))
    counts = _histogram(ratio)
    split = math.ceil(threshold * _BINS)
    down, up = _classic_ramps(counts[:split], counts[split:], black, white, threshold)
    below, above = threshold - ratio, ratio - threshold
    deep = near * (1.0 - np.minimum(below / max(down, 1e-6), 1.0))
    rise = np.minimum(above / max(up, 1e-6), 1.0) if up > 0 else np.float32(1.0)
    light = 255.0 - (1.0 - rise) * (255.0 - near)
    return np.rint(np.clip(np.where(below > 0, deep, light), 0, 255)).astype(np.uint8)


def _classic_ramps(
    dark: np.ndarray, light: np.ndarray, black: float, white: float, threshold: float
) -> tuple[float, float]:
    """Widths of the lower and upper ramp from the histogram below and above the threshold."""
    down, up = 1.0, 0.0
    if black > 0 and dark.any():
        first = _first_above(dark, black)
        down = 0.0 if first is None else threshold - first / _BINS
    if white > 0 and light.any():
        first = _first_above(light, 1.0 - white)
        up = 1.0 if first is None else first / _BINS + math.ceil(threshold * _BINS) / _BINS - threshold
    return down, up


def _luma(image: np.ndarray) -> np.ndarray:
    """8-bit luminance of the sRGB values (Rec. 709 weights), as float32."""
    if image.ndim == 2:
        return image.astype(np.float32)
    return np.rint(cv2.transform(image.astype(np.float32), np.array([[0.2126, 0.7152, 0.0722]])))


def _bands(height: int) -> Iterator[slice]:
    """Slices of a few rows each, so that what is computed in between stays in the cache."""
    return (slice(y, y + _BAND) for y in range(0, height, _BAND))


@lru_cache(maxsize=1)
def _linear_table() -> np.ndarray:
    """sRGB level to linear light, 0 to 65535, (256,) float32."""
    level = np.arange(256) / 255.0
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return (linear * _WHITE).astype(np.float32)


@lru_cache(maxsize=1)
def _encoding_table() -> np.ndarray:
    """Linear light, its fraction of 1/65535 cut off, to the nearest sRGB level; (65536,) uint8."""
    linear = np.minimum((np.arange(65536) + 0.5) / 65535.0, 1.0)
    level = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * level).astype(np.uint8)


def _linear_luminance(image: np.ndarray, plane: np.ndarray) -> None:
    """Write linear-light luminance, 0 to 65535; rows and columns past the picture repeat its border."""
    height, width = image.shape[:2]
    table = _linear_table()
    for band in _bands(height):
        inside = plane[:height, :width][band]
        linear = cv2.LUT(image[band], table).reshape(image[band].shape)
        inside[:] = linear if image.ndim == 2 else cv2.transform(linear, _LUMINANCE).reshape(inside.shape)
    plane[:, width:] = plane[:, width - 1 : width]
    plane[height:] = plane[height - 1]


def _encode(linear: np.ndarray) -> np.ndarray:
    """sRGB levels of a linear plane, which is overwritten."""
    np.clip(linear, 0.0, _WHITE, out=linear)
    with np.errstate(invalid="ignore"):
        return np.take(_encoding_table(), linear.astype(np.uint16))


def _ratio(near: np.ndarray, far: np.ndarray, sd: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """``near / far``, written over ``far``, and its histogram.

    Where both have died away in black, the ratio is the limit that the wider tail gives.  Only the recursion has
    tails without end: between two true Gaussians 0 / 0 stays NaN, is in no histogram and has to come out black.
    """
    above = below = np.float32(0.0)
    if max(sd) >= recursive_blur.RECURSIVE_FROM:
        below = np.float32(1e-20)
        if sd[0] >= max(sd[1], recursive_blur.RECURSIVE_FROM) and near.any():
            above = below if sd[0] == sd[1] else np.float32(1e-10)
    counts = np.zeros(2 * _BINS)
    with np.errstate(divide="ignore", invalid="ignore"):
        for band in _bands(len(far)):
            far[band] += below
            np.divide(near[band] + above if above else near[band], far[band], out=far[band])
            counts += _histogram(far[band])
    return far, counts


def _histogram(ratio: np.ndarray) -> np.ndarray:
    """How many of the ratios fall into each bin of 1/1000 from 0 to 2; what lies above is left out."""
    bins = np.fmin(ratio, np.float32(65.0))
    bins *= np.float32(_BINS)
    return cv2.calcHist([bins.astype(np.uint16)], [0], None, [2 * _BINS], [0, 2 * _BINS]).ravel()


def _first_above(counts: np.ndarray, share: float) -> int | None:
    """First bin at which the cumulative share of ``counts`` exceeds ``share``; None if it never does."""
    cumulative = np.cumsum(counts, dtype=np.float64)
    above = cumulative > share * cumulative[-1]
    return int(np.argmax(above)) if above.any() else None
