"""Painted scenes of overlapping shapes with light and texture, and their outlines."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.models.simplifier.data import strokes
from sketchprep.models.simplifier.data.random_drawings import random_outline
from sketchprep.models.simplifier.data.strokes import Stroke
from sketchprep.ops.noise import noise, smooth_field

__all__ = ["random_scene", "visible"]

_VISIBLE = 16.0


def random_scene(rng: np.random.Generator, size: int) -> tuple[np.ndarray, list[Stroke]]:
    """Paint a scene.

    Returns
    -------
    picture : ndarray, (size, size) uint8
        Grey.
    outlines : list of ndarray, (N, 2) float32
        Of the shapes, where no other shape hides them.
    """
    shape = (size, size)
    picture: np.ndarray = np.float32(rng.uniform(30, 225)) + _shading(rng, shape)
    outlines: list[Stroke] = []
    for _ in range(int(rng.integers(3, 10))):
        radius = size * float(np.exp(rng.uniform(np.log(0.05), np.log(0.45))))
        outline = strokes.smooth(random_outline(rng, rng.uniform(0, size, 2), radius), sigma=1.5)
        box = _box(outline, size)
        if box is None:
            continue
        low, high = box
        window = picture[low[1] : high[1], low[0] : high[0]]
        mask = np.zeros((2 * window.shape[0], 2 * window.shape[1]), np.uint8)
        cv2.fillPoly(mask, [np.rint(((outline - low) * 2 + 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
        inner = (window.shape[0], window.shape[1])
        cover = cv2.resize(mask, inner[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(1 / 255)
        if rng.random() < 0.35:
            halo = cv2.GaussianBlur(cover, (0, 0), rng.uniform(1.5, 4.0))
            window *= 1 - rng.uniform(0.2, 0.5) * halo
        window += (rng.uniform(15, 240) + _shading(rng, inner) - window) * cover
        hidden = np.zeros(shape, bool)
        hidden[low[1] : high[1], low[0] : high[0]] = cover > 0.5
        outlines = [*strokes.cut(outlines, hidden), outline]
    picture += rng.uniform(0, 4) * noise(rng, shape)
    return np.clip(picture, 0, 255).astype(np.uint8), outlines


def _box(outline: Stroke, size: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners of what of the picture an outline and its halo touch."""
    low = np.clip(np.floor(outline.min(0)).astype(int) - 10, 0, size)
    high = np.clip(np.ceil(outline.max(0)).astype(int) + 11, 0, size)
    return (low, high) if (high - low > 1).all() else None


def _shading(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Light that falls off, and a texture now and then."""
    light = rng.uniform(0, 25) * smooth_field(rng, shape, rng.uniform(60, 200))
    kind = rng.random()
    if kind < 0.25:
        light = light + rng.uniform(3, 12) * smooth_field(rng, shape, rng.uniform(2.5, 8))
    elif kind < 0.4:
        angle = rng.uniform(0, np.pi)
        y, x = np.indices(shape, dtype=np.float32)
        phase = (x * np.cos(angle) + y * np.sin(angle)) / rng.uniform(2.5, 8) + 2 * smooth_field(rng, shape, 40)
        light = light + rng.uniform(3, 14) * np.sin(phase)
    return light.astype(np.float32)


def visible(outlines: list[Stroke], rough: np.ndarray) -> list[Stroke]:
    """The stretches of the outlines near which a photocopy, (H, W) uint8, has an edge; gaps of a few points closed."""
    soft = cv2.GaussianBlur(rough, (0, 0), 1.0).astype(np.float32)
    side = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    relief = cv2.dilate(soft, side) - cv2.erode(soft, side)
    kept = []
    for outline in outlines:
        x, y = np.clip(np.rint(outline).astype(int).T, 0, [[rough.shape[1] - 1], [rough.shape[0] - 1]])
        shown = (relief[y, x] > _VISIBLE).astype(np.uint8)[None]
        shown = np.asarray(cv2.morphologyEx(shown, cv2.MORPH_CLOSE, np.ones((1, 9), np.uint8)))[0]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], shown, [0]]).astype(int)))
        kept += [outline[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 5]
    return kept
