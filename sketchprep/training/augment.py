"""Augmentation of sketches: jittered lines, missing strokes and parts, another pen width, mirroring."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from pydantic import Field

from sketchprep.core.config import FrozenModel
from sketchprep.ops.face_parts import PARTS
from sketchprep.ops.noise import smooth_field

__all__ = ["Augment", "drop", "erase", "jitter", "territories", "thicken", "vary"]

_SQUARE = np.ones((3, 3), np.uint8)
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
PAPER = 250  # lighter grey is no ink
STROKE = 48  # pixels at 512, about the length of what is left out at a time
WAVES = ((112, 1.0), (32, 0.25))  # pixels at 512 and share: proportions are off by more than a line trembles

# The landmarks that a part's lines lie around, and where these are in a usual face at 512 px: middle and half extent of
# their box, medians over 4,029 faces of CelebA-HQ made symmetric.  An eye has its brow with it.
_BOXES = {
    "left_eye": ([*range(17, 22), *range(36, 42)], ((184.5, 228.5), (45.5, 25.5))),
    "right_eye": ([*range(22, 27), *range(42, 48)], ((326.5, 228.5), (45.5, 25.5))),
    "nose": ([*range(27, 36)], ((255.5, 294), (26, 49.5))),
    "mouth": ([*range(48, 68)], ((255.5, 386), (56, 22))),
}
# How far lines lie outside, in x and y at 512 px: the wings of the nose, lids, a drawn lip; the chin must stay.
_MARGINS = {"left_eye": (14, 20), "right_eye": (14, 20), "nose": (28, 12), "mouth": (16, 16)}


class Augment(FrozenModel):
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
    size = len(sketch)
    shape = (size // 4, size // 4)
    x, y = (
        cv2.resize(np.sum([s * smooth_field(rng, shape, p * size / 2048) for p, s in WAVES], axis=0), (size, size))
        for _ in range(2)
    )
    at = np.arange(size, dtype=np.float32)
    x = at + np.float32(pixels) * x
    y = at[:, None] + np.float32(pixels) * y
    return cv2.remap(sketch, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=255)


def drop(sketch: np.ndarray, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """Leave out strokes, and stretches of long lines, that hold about `share` of the ink."""
    size = len(sketch)
    _, lines = cv2.connectedComponents((sketch < PAPER).view(np.uint8), connectivity=8)
    coarse = size // 2
    seeds = np.full((coarse, coarse), 255, np.uint8)
    seeds[tuple(rng.integers(0, coarse, (2, (512 // STROKE) ** 2)))] = 0
    _, near = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    cells = cv2.resize(near.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)
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
    return cv2.erode(sketch, _SQUARE)


def _finer(sketch: np.ndarray) -> np.ndarray:
    finer = cv2.dilate(sketch, _CROSS)
    vanished = cv2.morphologyEx(sketch, cv2.MORPH_BLACKHAT, _CROSS)
    # One pixel more than vanished, so that it stays joined to what got finer.
    kept = np.minimum(cv2.dilate(vanished, _SQUARE), 255 - sketch)
    return np.minimum(finer, 255 - kept)


def erase(sketch: np.ndarray, parts: Iterable[str], *, landmarks: np.ndarray | None = None) -> np.ndarray:
    """Leave out whole parts, as somebody does who has not drawn them yet.

    A part's own lines go, not all of its window: the eyes stay whole if there is no nose yet.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (S, S)
    parts : iterable of str
        Of `face_parts.PARTS`.
    landmarks : ndarray, shape (68, 2), optional
    """
    gone = np.isin(territories(len(sketch), landmarks), [PARTS.index(part) for part in parts])
    return np.where(gone, np.uint8(255), sketch)


def territories(size: int, landmarks: np.ndarray | None = None) -> np.ndarray:
    """Whose the ink at each pixel is, as an index into `face_parts.PARTS`.

    Parameters
    ----------
    size : int
    landmarks : ndarray, shape (68, 2), optional
        In pixels of the frame; else the parts are taken to be at their usual places.

    Returns
    -------
    ndarray of uint8, shape (size, size)
    """
    scale = size / 512
    owner = np.full((size, size), PARTS.index("remainder"), np.uint8)
    nearest = np.ones((size, size), np.float32)
    at = np.arange(size, dtype=np.float32)
    for part, (members, usual) in _BOXES.items():
        (x, y), half = (np.multiply(v, scale) for v in usual) if landmarks is None else _box(landmarks[members])
        a, b = half + np.multiply(_MARGINS[part], scale)
        down = ((at - y) / b)[:, None]
        if part == "nose":  # narrow between the eyes, broad at its wings
            a = a * (0.4 + 0.3 * np.clip(down + 1, 0, 2))
        far = (((at - x) / a) ** 4 + down**4).astype(np.float32)  # a box with round corners
        owner[far < nearest] = PARTS.index(part)
        nearest = np.minimum(far, nearest)
    return owner


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, (high - low) / 2
