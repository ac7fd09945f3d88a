"""Fixed evaluation sets, made of what training never sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sketchprep.models.simplifier.data import portraits as store
from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.models.simplifier.data.random_drawings import random_drawing
from sketchprep.models.simplifier.data.roughen import roughen
from sketchprep.models.simplifier.data.sampler import LINE_WIDTH, pair_of_scene
from sketchprep.models.simplifier.data.teacher_lines import face_mask
from sketchprep.ops.photocopy import photocopy

__all__ = ["Example", "drawings", "photocopies", "scenes"]

# Streams apart from the sampler's, whose keys have another length.
_STREAM = 20_016


@dataclass(frozen=True, slots=True)
class Example:
    """One picture to judge a simplifier by.

    Attributes
    ----------
    name : str
    rough, clean : ndarray, (H, W) uint8
        Black ink on white.
    face : ndarray, (H, W) bool, or None
        The face by its landmarks.
    landmarks : ndarray, (68, 2) float32, or None
    """

    name: str
    rough: np.ndarray
    clean: np.ndarray
    face: np.ndarray | None = None
    landmarks: np.ndarray | None = None


def drawings(count: int = 64, *, size: int = 256, seed: int = 0) -> list[Example]:
    """Random drawings of curves, shapes and faces, roughened."""
    examples = []
    for i in range(count):
        rng = np.random.default_rng([_STREAM, seed, 0, i])
        strokes = random_drawing(rng, size)
        examples.append(_example(f"drawing-{i:03d}", roughen(strokes, rng, size), strokes))
    return examples


def scenes(count: int = 64, *, size: int = 256, seed: int = 0) -> list[Example]:
    """Photocopies of painted scenes and the outlines in them."""
    examples = []
    for i in range(count):
        rough, strokes = pair_of_scene(np.random.default_rng([_STREAM, seed, 1, i]), size)
        examples.append(_example(f"scene-{i:03d}", rough, strokes))
    return examples


def photocopies(cache: str | Path, *, variants: tuple[str, ...] = ("gegl", "classic")) -> list[Example]:
    """Photocopies at the usual settings of all held-out portraits of a cache, whole frames of 512 px."""
    examples = []
    for portrait in store.open_portraits(cache, held_out=True):
        face = face_mask(portrait.landmarks, portrait.light.shape) > 0.5
        for variant in variants:
            rough = photocopy(portrait.light, variant=variant)
            name = f"{portrait.name}-{variant}"
            examples.append(_example(name, rough, portrait.strokes, face, portrait.landmarks))
    return examples


def _example(
    name: str,
    rough: np.ndarray,
    strokes: list[vector.Stroke],
    face: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
) -> Example:
    clean = 255 - vector.render(strokes, (rough.shape[0], rough.shape[1]), width=LINE_WIDTH)
    return Example(name, rough, clean, face, landmarks)
