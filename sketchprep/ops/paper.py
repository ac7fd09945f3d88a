"""Normalise drawings on any paper to black ink on white: colour, polarity and uneven illumination."""

from typing import Literal

import cv2
import numpy as np

from sketchprep.ops._validation import check_image

Polarity = Literal["dark-on-light", "light-on-dark", "blank"]

# Grey levels that a stroke must differ from its surroundings.
_CONTRAST = 24
_GRID = 48
_LARGEST = 1536
# Paper of this level, on that share of the page, is white already.
_WHITE, _WHITE_SHARE = 240, 0.4
# Light falls off to this share of the brightest spot; what is darker still is ink.
_DIMMEST = 0.3
# Light is even where three quarters of the page's rim are at least so bright, as a share of its brightest part.
_EVEN = 0.93
# Grain of the paper: as a share of its tone, and as what a page of one tone may vary by.
_GRAIN, _GRAIN_LEVELS = 0.97, 6
_BLACK_PAGE = 40
# Paper from this level up is too light for light ink.
_WHITE_PAGE = 215
# Ink is seen by its colour where that differs from the paper's so many times more than its lightness does, on that
# share of the page; and by how little colours vary on paper of one colour.
_COLOURED, _COLOURED_SHARE, _COLOUR_GRAIN = 2.5, 0.002, 8


def to_black_on_white(image: np.ndarray) -> np.ndarray:
    """Black ink on white paper from dark or light ink on paper of any tone.

    Parameters
    ----------
    image : ndarray, (H, W, 3) RGB or (H, W) grey, uint8

    Returns
    -------
    ndarray, (H, W) uint8
        Grey.  A drawing that is black on white already comes back as it is; a page of one tone, whether white, grey
        or black, has no ink and comes back white.

    Raises
    ------
    ValueError
        For another shape or type.

    Notes
    -----
    1. Colours become luma, unless ink and paper differ in hue alone, as red on green may: then each pixel is as dark as
       it is far from the paper's colour around it.
    2. Each stroke is compared with the median of its surroundings: where more of the page's contrast is lighter than
       its surroundings than darker, and the paper is not white, the picture is inverted.
    3. The tone of the paper is the 90th percentile in cells of about a fiftieth of the page, closed over areas of ink
       and smoothed; the picture is divided by it, which flattens uneven light.  Then shading wider than a sixth of the
       page is taken for light rather than ink, if it is not too dark; where the rim of the page is evenly bright, the
       paper has that one tone, and all shading stays.
    A photograph has no paper; it comes back with its shadows lifted.
    """
    check_image(image)
    grey = ink_grey(image)
    ink = polarity(grey)
    if ink == "blank":
        return np.full_like(grey, 255)
    if ink == "light-on-dark":
        grey = 255 - grey
    tone = _paper_tone(grey)
    if tone is None:
        return grey.copy()
    height, width = grey.shape
    paper = cv2.resize(tone, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(cv2.divide(grey.astype(np.float32), paper, scale=255 / _GRAIN), 0, 255).round().astype(np.uint8)


def ink_grey(image: np.ndarray) -> np.ndarray:
    """Grey picture in which ink differs from the paper: luma, or distance from the paper's colour if luma shows less.

    Parameters
    ----------
    image : ndarray, (H, W, 3) RGB or (H, W) grey, uint8

    Returns
    -------
    ndarray, (H, W) uint8
        Black on white in the second case.
    """
    if image.ndim == 2:
        return image
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    lab = cv2.cvtColor(_sample(image), cv2.COLOR_RGB2LAB)
    lightness, *hues = (np.abs(lab[..., at].astype(np.int16) - _surroundings(lab[..., at])) for at in range(3))
    colour = np.maximum(*hues)
    strong = colour > _CONTRAST
    if strong.mean() < _COLOURED_SHARE or colour[strong].sum() < _COLOURED * lightness[strong].sum():
        return grey
    full = float(np.percentile(np.hypot(*hues)[strong], 75))
    distance = np.zeros(grey.shape, np.float32)
    whole = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    for at in (1, 2):
        paper = cv2.resize(_surroundings(lab[..., at]), grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
        distance = np.hypot(distance, whole[..., at].astype(np.float32) - paper)
    darkness = np.clip((distance - _COLOUR_GRAIN) * (255 / max(full - _COLOUR_GRAIN, 1)), 0, 255)
    return 255 - darkness.round().astype(np.uint8)


def polarity(grey: np.ndarray) -> Polarity:
    """Whether ink is darker or lighter than the paper, or there is none.

    Parameters
    ----------
    grey : ndarray, (H, W) uint8

    Returns
    -------
    {"dark-on-light", "light-on-dark", "blank"}
        In doubt dark-on-light.  Blank is a page of one tone, give or take 6 levels, and one that is black all over.
    """
    small = _sample(grey)
    level = _surroundings(small)
    difference = small.astype(np.int16) - level
    lighter = int(difference[difference > _CONTRAST].sum())
    darker = -int(difference[difference < -_CONTRAST].sum())
    if np.ptp(grey) <= _GRAIN_LEVELS or (lighter == darker == 0 and int(level.max()) < _BLACK_PAGE):
        return "blank"
    white_page = float(np.median(level)) >= _WHITE_PAGE
    return "light-on-dark" if not white_page and lighter > 2 * darker else "dark-on-light"


def _surroundings(plane: np.ndarray) -> np.ndarray:
    """Median of the surroundings of each pixel: int16, of the plane's shape."""
    cells = cv2.medianBlur(_cells(plane, 50).astype(np.uint8), 5)
    return cv2.resize(cells, plane.shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.int16)


def _paper_tone(grey: np.ndarray) -> np.ndarray | None:
    """Level of the paper on a coarse grid, float32, at least 1; None where the paper is white already."""
    tone: np.ndarray = _cells(_sample(grey), 90).astype(np.float32)
    if (tone >= _WHITE).mean() >= _WHITE_SHARE:
        return None
    around = np.concatenate([tone[0], tone[-1], tone[:, 0], tone[:, -1]])
    dim, usual, bright = np.percentile(around, (25, 50, 95))
    if dim >= _EVEN * bright:
        return np.full_like(tone, max(usual, 1.0))
    side = max(min(tone.shape) // 6, 1) | 1
    tone = cv2.morphologyEx(tone, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    tone = np.maximum(tone, max(_DIMMEST * float(tone.max()), 1.0))
    return cv2.GaussianBlur(tone, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)


def _sample(grey: np.ndarray) -> np.ndarray:
    """Every n-th pixel of a large page: percentiles need no more, and averaging would thin the lines."""
    step = -(-max(grey.shape[:2]) // _LARGEST)
    return np.ascontiguousarray(grey[::step, ::step])


def _cells(grey: np.ndarray, percentile: float) -> np.ndarray:
    """A percentile of each square cell, about `_GRID` of them along the longer side."""
    side = max(round(max(grey.shape) / _GRID), 8)
    height, width = (-(-n // side) for n in grey.shape)
    padded = np.pad(grey, ((0, height * side - grey.shape[0]), (0, width * side - grey.shape[1])), mode="edge")
    cells = padded.reshape(height, side, width, side).swapaxes(1, 2).reshape(height, width, side * side)
    rank = round(percentile / 100 * (side * side - 1))
    return np.partition(cells, rank, axis=2)[..., rank]
