"""Sketches as other hands would draw them: wobbly, unfinished, with a finer or broader pen, mirrored."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sketchprep.ops import align
from sketchprep.ops.components import PARTS
from sketchprep.train.pairs.field import smooth_field

__all__ = ["Augment", "drop", "erase", "jitter", "territories", "thicken", "vary"]

PAPER = 250  # lighter grey is no ink
STROKE = 48  # pixels at 512, about the length of what is left out at a time
WAVES = ((112, 1.0), (32, 0.25))  # pixels at 512 and share: proportions are off by more than a line trembles

# Where ink counts to a part, at 512 px: its anchor in a usual face, the ellipse's centre below it, and the half axes.
# An eye has its brow with it, and the chin is nobody's mouth.
_ELLIPSES = {
    "left_eye": ((193, 247), -14, (66, 52)),
    "right_eye": ((319, 247), -14, (66, 52)),
    "nose": ((256, 320), -20, (52, 58)),
    "mouth": ((256, 378), 8, (80, 48)),
}


class Augment(BaseModel):
    """How far sketches vary; nothing by default, as in the paper.

    `jitter`, `dropout` and `thickness` are the most: each picture draws its own amount between none and that.

    Attributes
    ----------
    flip : float
        Probability that sketch and photo are mirrored.
    jitter : float
        Deviation in pixels at 512 by which lines wander smoothly from their place.
    dropout : float
        Share of the strokes that is left out.
    thickness : float
        Pixels at 512 by which lines get broader or finer; the finest stay.
    erase_part : float
        Probability that the sketch is unfinished: one to four of the five parts are missing, most often one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    flip: float = Field(default=0, ge=0, le=1)
    jitter: float = Field(default=0, ge=0, le=32)
    dropout: float = Field(default=0, ge=0, le=0.95)
    thickness: float = Field(default=0, ge=0, le=16)
    erase_part: float = Field(default=0, ge=0, le=1)


def vary(
    sketch: np.ndarray, rng: np.random.Generator, settings: Augment, *, landmarks: np.ndarray | None = None
) -> np.ndarray:
    """Draw a variation of a sketch; mirroring is left to the caller, whose photo goes along.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (S, S)
        Black ink on white.
    rng : Generator
        Decides everything.
    settings : Augment
    landmarks : ndarray, shape (68, 2), optional
        In pixels of the sketch; tell where the parts are, else the frame does.

    Returns
    -------
    ndarray of uint8, shape (S, S)
    """
    scale = len(sketch) / 512
    if rng.random() < settings.erase_part:
        count = int(min(rng.geometric(0.5), len(PARTS) - 1))
        sketch = erase(sketch, rng.choice(PARTS, count, replace=False), landmarks=landmarks)
    if settings.dropout:
        sketch = drop(sketch, rng, share=rng.uniform(0, settings.dropout))
    if settings.jitter:
        sketch = jitter(sketch, rng, pixels=rng.uniform(0, settings.jitter) * scale)
    if settings.thickness:
        sketch = thicken(sketch, pixels=rng.uniform(-1, 1) * settings.thickness * scale)
    return sketch


def jitter(sketch: np.ndarray, rng: np.random.Generator, *, pixels: float) -> np.ndarray:
    """Move lines smoothly by about `pixels`, neighbours alike.

    Beyond the border lies paper.
    """
    size, shape = len(sketch), (len(sketch), len(sketch))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    for period, share in WAVES:
        amount = np.float32(pixels * share)
        x += amount * smooth_field(rng, shape, period * size / 512)
        y += amount * smooth_field(rng, shape, period * size / 512)
    return cv2.remap(sketch, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=255)


def drop(sketch: np.ndarray, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """Leave out strokes, and stretches of long lines, that hold about `share` of the ink."""
    size = len(sketch)
    _, lines = cv2.connectedComponents((sketch < PAPER).view(np.uint8), connectivity=8)
    seeds = np.full((size, size), 255, np.uint8)
    count = max(1, (512 // STROKE) ** 2)
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    _, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    dropped = rng.random((lines.max() + 1, cells.max() + 1), np.float32) < share
    return np.where(dropped[lines, cells], np.uint8(255), sketch)


def thicken(sketch: np.ndarray, *, pixels: float) -> np.ndarray:
    """Make lines broader by `pixels`, or finer if negative; what would vanish keeps its width."""
    steps, rest = divmod(abs(pixels) / 2, 1)
    step = _broader if pixels > 0 else _finer
    for _ in range(int(steps)):
        sketch = step(sketch)
    return cv2.addWeighted(step(sketch), rest, sketch, 1 - rest, 0) if rest else sketch


def _broader(sketch: np.ndarray) -> np.ndarray:
    return cv2.erode(sketch, np.ones((3, 3), np.uint8))


def _finer(sketch: np.ndarray) -> np.ndarray:
    kernel = np.ones((3, 3), np.uint8)
    vanished = cv2.morphologyEx(sketch, cv2.MORPH_BLACKHAT, kernel)
    return np.minimum(cv2.dilate(sketch, kernel), 255 - vanished)


def erase(sketch: np.ndarray, parts: Iterable[str], *, landmarks: np.ndarray | None = None) -> np.ndarray:
    """Leave out whole parts, as somebody does who has not drawn them yet.

    A part's own lines go, not all of its window: the eyes stay whole if there is no nose yet.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (S, S)
    parts : iterable of str
        Of `components.PARTS`.
    landmarks : ndarray, shape (68, 2), optional
    """
    gone = np.isin(territories(len(sketch), landmarks), [PARTS.index(part) for part in parts])
    return np.where(gone, np.uint8(255), sketch)


def territories(size: int, landmarks: np.ndarray | None = None) -> np.ndarray:
    """Whose the ink at each pixel is, as an index into `components.PARTS`.

    Parameters
    ----------
    size : int
    landmarks : ndarray, shape (68, 2), optional
        In pixels of the frame; else the parts are taken to be at their usual places.

    Returns
    -------
    ndarray of int, shape (size, size)
    """
    scale = size / 512
    centres = {part: (np.array(at) + 0.5) * scale - 0.5 for part, (at, _, _) in _ELLIPSES.items()}
    if landmarks is not None:
        left, right, nose, *corners = align.five_points(landmarks)
        centres = {"left_eye": left, "right_eye": right, "nose": nose, "mouth": (corners[0] + corners[1]) / 2}
    y, x = np.ogrid[:size, :size]
    far = [np.ones((size, size))]
    for part, (_, below, (a, b)) in _ELLIPSES.items():
        cx, cy = centres[part]
        far.append(((x - cx) / (a * scale)) ** 2 + ((y - cy - below * scale) / (b * scale)) ** 2)
    # The remainder is last among the parts and first here, so that it wins from distance 1 on.
    return (np.argmin(far, axis=0) - 1) % len(PARTS)
