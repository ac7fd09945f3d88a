"""Degradations of sketches by amount: jittered, dropped or thickened strokes, erased parts."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from sketchprep.ops.face_parts import PARTS
from sketchprep.training import augment

__all__ = ["KINDS", "degrade"]

KINDS = {
    "jitter": "lines out of place",
    "drop": "strokes missing",
    "thicken": "thick and blurred lines",
    "erase": "whole parts missing",
}
"""Kinds of degradation and their titles."""
BLUR = 0.25  # deviation of the blur as a share of the added thickness


def degrade(
    sketch: np.ndarray, kind: str, amount: float, *, name: str, seed: int = 0, landmarks: np.ndarray | None = None
) -> np.ndarray:
    """Spoil a sketch.

    One picture at growing amounts is spoiled in one way further and further: the same field moves its lines, missing
    strokes and parts stay missing.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (S, S)
        Black ink on white.
    kind : str
        A key of `KINDS`.
    amount : float
        ``jitter``: deviation in pixels at 512 by which lines wander; ``drop``: share of the ink that is left out;
        ``thicken``: pixels at 512 by which lines get broader, after which they are blurred by a quarter of that;
        ``erase``: number of the five parts that are missing.  0 leaves the sketch as it is.
    name : str
        Of the picture: decides with `seed` where it is spoiled.
    seed : int
    landmarks : ndarray, shape (68, 2), optional
        In pixels of the sketch; tell where the parts are, else the frame does.

    Returns
    -------
    ndarray of uint8, shape (S, S)

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"'{kind}' is no degradation; known: {', '.join(KINDS)}")
    if not amount:
        return sketch.copy()
    digest = hashlib.sha256(f"{seed} {kind} {name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    pixels = amount * len(sketch) / 512
    if kind == "jitter":
        return augment.jitter(sketch, rng, pixels=pixels)
    if kind == "drop":
        return augment.drop(sketch, rng, share=amount)
    if kind == "erase":
        return augment.erase(sketch, rng.permutation(PARTS)[: round(amount)], landmarks=landmarks)
    return cv2.GaussianBlur(augment.thicken(sketch, pixels=pixels), (0, 0), max(BLUR * pixels, 0.1))
