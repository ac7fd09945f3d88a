"""Tell photos from drawings by colours, greys and edges, also when both halves of a pair lie side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from sketchprep.sketching.drawing import normalize_drawing

__all__ = ["PictureKind", "photo_comes_first", "picture_kind"]

PictureKind = Literal["photo", "drawing", "unsure"]

_SIDE = 512  # of the copy that is looked at
# Colours, in 16 steps a channel, each on so much of the picture: at most 67 in drawings, flat-coloured ones and any
# paper among them; at least 77 in photos, overexposed ones and thumbnails among them.
_COLOURS, _COLOUR_SHARE = 72, 0.0005
# Grey between ink and paper, as a share of the page: at most .11 in line drawings, .3 in shaded ones, which leave .7 of
# the paper white; at least .2 in grey photos.  Bits of the grey levels: at most 2 in flat fills.
_GREYS, _PHOTO_GREYS, _WHITE, _BITS = 0.2, 0.3, 0.6, 3.0
_DARK_PHOTO = 128  # a picture whose lightest hundredth is darker is looked at with its levels stretched
# Of two pictures of one kind the photo has so many times the spread of colour, or of greys.
_MORE_COLOUR, _MORE_GREYS = 2.0, 1.5
_RANK = {"drawing": 0, "unsure": 1, "photo": 2}


@dataclass(frozen=True)
class _Tones:
    """What tells a photo: number of colours, spread of colour, shares of greys and white, bits of the grey levels."""

    colours: int
    spread: float
    greys: float
    white: float
    bits: float

    @property
    def kind(self) -> PictureKind:
        if self.colours >= _COLOURS:
            return "photo"
        if self.greys < _GREYS:
            return "drawing"
        grey_photo = self.greys > _PHOTO_GREYS and self.white < _WHITE and self.bits > _BITS
        return "photo" if grey_photo else "unsure"


def picture_kind(image: np.ndarray) -> PictureKind:
    """Tell a photo from a drawing on any paper.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB, or grey.

    Returns
    -------
    {"photo", "drawing", "unsure"}
        Unsure are pictures as grey as a shaded drawing, or as a bleak photo.
    """
    return _tones(image).kind


def photo_comes_first(first: np.ndarray, second: np.ndarray) -> bool | None:
    """Tell which of two pictures of one scene is the photo.

    Parameters
    ----------
    first, second : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB, or grey.

    Returns
    -------
    bool or None
        None if they are too much alike.
    """
    a, b = _tones(first), _tones(second)
    if a.kind != b.kind:
        return _RANK[a.kind] > _RANK[b.kind]
    for x, y, more in ((a.spread, b.spread, _MORE_COLOUR), (a.greys, b.greys, _MORE_GREYS)):
        if max(x, y) > more * min(x, y):
            return x > y
    return None


def _tones(image: np.ndarray) -> _Tones:
    step = max(1, max(image.shape[:2]) // _SIDE)
    small = np.ascontiguousarray(image[::step, ::step])
    drawing = normalize_drawing(small)
    left, top, right, bottom = drawing.box
    page, seen = drawing.page[top:bottom, left:right], _stretched(small[top:bottom, left:right])
    grey = seen if seen.ndim == 2 else cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    levels = np.bincount(grey.astype(np.uint8).ravel() // 4, minlength=64) / grey.size
    levels = levels[levels > 0]
    return _Tones(
        colours=0 if seen.ndim == 2 else _count_colours(seen),
        spread=0.0 if seen.ndim == 2 else _colour_spread(seen),
        greys=float(((page > 50) & (page < 230)).mean()),
        white=float((page >= 230).mean()),
        bits=float(-(levels * np.log2(levels)).sum()),
    )


def _stretched(image: np.ndarray) -> np.ndarray:
    """The picture, smoothed against grain, at full range if it is nearly black."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5)
    brightest = float(np.percentile(smooth, 99))
    if brightest >= _DARK_PHOTO:
        return smooth
    return np.clip(smooth * (255 / max(brightest, 1.0)), 0, 255).astype(np.uint8)


def _count_colours(image: np.ndarray) -> int:
    steps = (image >> 4).reshape(-1, 3).astype(np.int32) @ np.array([1, 16, 256])
    return int((np.bincount(steps) > _COLOUR_SHARE * steps.size).sum())


def _colour_spread(image: np.ndarray) -> float:
    """Standard deviation along the main axis of a and b of Lab, at least 1: compression alone gives as much."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float64)
    return float(max(np.linalg.eigvalsh(np.cov(lab[:, 1:].T))[-1], 1.0) ** 0.5)
