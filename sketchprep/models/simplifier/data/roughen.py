"""Rough versions of clean drawings: shaky hand, pen, paper and camera, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sketchprep.models.simplifier.data.strokes import Stroke
from sketchprep.ops.noise import noise, smooth_field, wander

__all__ = ["photographed", "roughen"]


def roughen(strokes: Sequence[Stroke], rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw strokes as a hurried hand would, on paper, and take a picture of it.

    Parameters
    ----------
    strokes : sequence of ndarray, (N, 2) float
        The clean drawing.
    rng : Generator
    size : int
        Side of the picture in pixels.

    Returns
    -------
    ndarray, (size, size) uint8
        Dark ink on light paper, in its place to within a few pixels.
    """
    shape = (size, size)
    copies = int(rng.choice([1, 2, 3, 4], p=[0.35, 0.3, 0.22, 0.13]))
    pen = float(np.exp(rng.uniform(np.log(0.9), np.log(5.0 if copies == 1 else 3.0))))
    dark = rng.uniform(0.35, 1.0)
    wobble = rng.uniform(0.3, 2.0 if copies == 1 else 2.8)
    ink: np.ndarray = np.zeros(shape, np.float32)
    for _ in range(copies):
        drawn = _by_hand(strokes, rng, size, wobble)
        widths = np.clip(pen * rng.uniform(0.7, 1.4, len(drawn)), 0.8, 7.0)
        tones = np.clip(dark * rng.uniform(0.6, 1.15, len(drawn)), 0.15, 1.0)
        layer = _pressed(drawn, widths, tones, shape)
        if rng.random() < 0.6:
            layer *= np.clip(1.0 + rng.uniform(0.1, 0.35) * smooth_field(rng, shape, rng.uniform(8, 40)), 0, 1.2)
        ink = 1.0 - (1.0 - ink) * (1.0 - np.clip(layer, 0, 1))
    if rng.random() < 0.45:
        ink = np.maximum(ink, _hatching(strokes, rng, size))
    if rng.random() < 0.55:
        ink *= _grain(rng, shape)
    if rng.random() < 0.6:
        ink = np.maximum(ink, _dirt(rng, size))
    return photographed(255.0 * (1.0 - ink), rng)


def photographed(paper: np.ndarray, rng: np.random.Generator, *, strength: float = 1.0) -> np.ndarray:
    """Paper tone, uneven light, blur, noise and JPEG, each now and then.

    Parameters
    ----------
    paper : ndarray, (H, W) uint8 or float32
        0 to 255.
    strength : float
        Factor on how often each happens.

    Returns
    -------
    ndarray, (H, W) uint8
    """
    image: np.ndarray = paper.astype(np.float32)
    shape = (image.shape[0], image.shape[1])
    if rng.random() < 0.3 * strength:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.45 * strength:
        image *= rng.uniform(0.78, 1.0)
        if rng.random() < 0.5:
            image += rng.uniform(1, 5) * smooth_field(rng, shape, rng.uniform(3, 12))
    if rng.random() < 0.35 * strength:
        image *= np.clip(0.9 + 0.08 * smooth_field(rng, shape, max(shape) * rng.uniform(0.5, 1.2)), 0.75, 1.05)
    if rng.random() < 0.4 * strength:
        image += rng.uniform(1, 9) * noise(rng, shape)
    result = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.4 * strength:
        quality = int(rng.integers(25, 95))
        _, jpeg = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])
        result = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE))
    return result


def _by_hand(strokes: Sequence[Stroke], rng: np.random.Generator, size: int, wobble: float) -> list[Stroke]:
    """One copy: warped as a whole, each stroke off by a little, broken here and there, its ends too long or short."""
    if not strokes:
        return []
    pull = wobble * wander(rng, np.concatenate(strokes), size, rng.uniform(15, 70))
    gaps = rng.random() < 0.5
    drawn: list[Stroke] = []
    at = 0
    for stroke in strokes:
        moved = stroke + pull[at : at + len(stroke)] + rng.normal(0, 0.5 * wobble, 2)
        at += len(stroke)
        centre = moved.mean(0)
        moved = (moved - centre) * (1 + rng.normal(0, 0.012)) + centre
        if rng.random() < 0.3 and len(moved) > 2:
            longer = moved[-1] + (moved[-1] - moved[-2]) * rng.uniform(0.5, 3)
            moved = np.concatenate([moved, longer[None]])
        drawn += _broken(moved.astype(np.float32), rng) if gaps else [moved.astype(np.float32)]
    return drawn


def _broken(stroke: Stroke, rng: np.random.Generator) -> list[Stroke]:
    """Pieces of a stroke, with small gaps or overlaps between them."""
    pieces, at = [], 0
    while at < len(stroke) - 1:
        stop = at + int(rng.integers(6, 40))
        if len(stroke) - stop < 4:
            stop = len(stroke)
        pieces.append(stroke[at:stop])
        at = max(at + 1, stop - int(rng.integers(-2, 4)))
    return [piece for piece in pieces if len(piece) > 1]


def _pressed(strokes: list[Stroke], widths: np.ndarray, tones: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Strokes of their own widths and darkness, (H, W) float32 in 0 to 1; where two cross, the darker counts."""
    canvas = np.zeros((shape[0] * 2, shape[1] * 2), np.uint8)
    for i in np.argsort(tones, kind="stable"):
        points = np.rint((np.clip(strokes[i], -4096, 8192) * 2 + 0.5) * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(canvas, [points], False, int(255 * tones[i]), max(1, round(2 * widths[i])), cv2.LINE_AA, 4)
    return cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(1 / 255)


def _grain(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """What pencil leaves of the ink on rough paper, 0 to 1."""
    tooth: np.ndarray = 0.7 * noise(rng, shape)
    tooth = cv2.GaussianBlur(tooth, (0, 0), rng.uniform(0.5, 1.0)) * np.float32(2.2)
    return np.asarray(np.clip(rng.uniform(0.6, 1.1) + rng.uniform(0.2, 0.6) * tooth, 0, 1))


def _hatching(strokes: Sequence[Stroke], rng: np.random.Generator, size: int) -> np.ndarray:
    """Light parallel lines in patches: shading, which a clean drawing leaves away."""
    layer = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        angle, gap = rng.uniform(0, np.pi), rng.uniform(4, 9)
        along = np.array([np.cos(angle), np.sin(angle)])
        side = np.array([-along[1], along[0]])
        centre, radius = rng.uniform(0, size, 2), rng.uniform(0.08, 0.25) * size
        lines = []
        for offset in np.arange(-radius, radius, gap):
            half = np.sqrt(max(0.0, radius**2 - offset**2)) * rng.uniform(0.7, 1.0)
            middle = centre + side * (offset + rng.normal(0, 0.8))
            lines.append(np.stack([middle - along * half, middle + along * half]).astype(np.float32))
        tone = rng.uniform(0.15, 0.6)
        layer = np.maximum(layer, _pressed(lines, np.full(len(lines), rng.uniform(0.8, 1.8)), np.full(len(lines), tone),
                                           (size, size)))  # fmt: skip
    return layer


def _dirt(rng: np.random.Generator, size: int) -> np.ndarray:
    """Speckle all over or in a heap, which is no line either, and blotches; 0 to 1."""
    layer = np.zeros((size, size), np.uint8)
    specks = rng.uniform(0, size, (int(rng.integers(5, 120)), 2))
    if rng.random() < 0.5:
        heap = rng.uniform(0, size, 2) + rng.normal(0, rng.uniform(0.03, 0.15) * size, (int(rng.integers(5, 50)), 2))
        specks = np.concatenate([specks[: len(specks) // 4], heap])
    for x, y in specks:
        cv2.circle(layer, (int(x), int(y)), int(rng.integers(0, 2)), int(rng.integers(40, 220)), -1)
    for _ in range(int(rng.integers(0, 4))):
        spot = np.zeros((size, size), np.uint8)
        outline = rng.uniform(0, size, 2) + rng.uniform(4, 0.08 * size + 5) * rng.normal(0, 0.6, (7, 2))
        cv2.fillConvexPoly(spot, cv2.convexHull(outline.astype(np.int32)), int(rng.integers(15, 60)))
        layer = np.maximum(layer, cv2.GaussianBlur(spot, (0, 0), 4.0))
    return layer.astype(np.float32) * np.float32(1 / 255)
