"""Photocopies and edge maps of real portraits at random settings and zooms, beside the teacher's lines."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.models.simplifier.data import face_contours
from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.models.simplifier.data.portraits import FRAME, Portrait
from sketchprep.models.simplifier.data.roughen import photographed
from sketchprep.models.simplifier.data.strokes import Stroke
from sketchprep.ops.canny import canny
from sketchprep.ops.noise import affine, noise
from sketchprep.ops.photocopy import photocopy

__all__ = ["copy_of", "face_weight", "photocopied", "place"]

_MARGIN = 24
_SHORTEST = 8.0
_DARK = 225


def photocopied(portrait: Portrait, rng: np.random.Generator, size: int) -> tuple[np.ndarray, list[Stroke], np.ndarray]:
    """A rough picture of a portrait and its lines.

    Returns
    -------
    rough : ndarray, (size, size) uint8
        Photocopy at random settings; now and then HED, Canny edges or the grey photo itself.
    strokes : list of ndarray, (N, 2) float32
        The teacher's lines in its pixels.
    landmarks : ndarray, (68, 2) float64
        Likewise.
    """
    matrix = place(portrait.landmarks, rng, size)
    kind = rng.random()
    if kind < 0.09:
        blur = rng.uniform(0, 0.8)
        edges = _warped(portrait.edges, matrix, size, blur)
        rough = np.clip(255.0 - rng.uniform(0.7, 1.3) * edges.astype(np.float32), 0, 255)
        rough = photographed(rough, rng, strength=0.6)
    else:
        light = _developed(_warped(portrait.light, matrix, size + 2 * _MARGIN, 0.0, _MARGIN), rng)
        if kind < 0.17:
            low = rng.uniform(20, 90)
            rough = canny(light, low=low, high=low * rng.uniform(1.5, 3.0), blur=rng.uniform(0.5, 2.0))
            rough = cv2.erode(rough, np.ones((2, 2), np.uint8)) if rng.random() < 0.5 else rough
        elif kind < 0.2:
            rough = light
        else:
            rough = copy_of(light, rng)
        inner = slice(_MARGIN, _MARGIN + size)
        rough = photographed(rough[inner, inner], rng, strength=0.45)
    strokes = vector.transform(portrait.strokes, matrix)
    strokes = [s for s, long in zip(strokes, vector.lengths(strokes), strict=True) if long >= _SHORTEST]
    return rough, strokes, portrait.landmarks @ matrix[:, :2].T + matrix[:, 2]


def place(landmarks: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """A view of the frame, 2x3: about its own scale anywhere in it, the whole of it, or close to a part of the face."""
    view = rng.random()
    middle = np.full(2, (FRAME - 1) / 2)
    if view < 0.2:
        scale, centre, shift = max(size / FRAME * rng.uniform(1.0, 1.3), 0.6), middle, 0.08 * size
    elif view < 0.6:
        parts = (slice(36, 42), slice(42, 48), slice(27, 36), slice(48, 68), slice(0, 17), slice(6, 11))
        centre = landmarks[parts[int(rng.integers(len(parts)))]].mean(0)
        scale, shift = float(np.exp(rng.uniform(np.log(0.8), np.log(1.7)))), 0.25 * size
    else:
        scale, centre, shift = float(np.exp(rng.uniform(np.log(0.75), np.log(1.25)))), middle, FRAME
    centre = centre + rng.uniform(-1, 1, 2) * shift / scale
    half = min(FRAME / 2, 0.52 * size / scale)
    return affine(rng, np.clip(centre, half, FRAME - 1 - half), size=size, scale=scale)


def _warped(plane: np.ndarray, matrix: np.ndarray, size: int, blur: float, margin: int = 0) -> np.ndarray:
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    moved = matrix.copy()
    moved[:, 2] += margin
    # Bilinear sampling skips pixels when it shrinks: the blur stands in for the mean over an area.
    blur = float(np.hypot(blur, 0.45 * np.sqrt(max(0.0, 1 / scale**2 - 1))))
    if blur > 0.25:
        plane = cv2.GaussianBlur(plane, (0, 0), blur)
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(plane, moved, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _developed(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The photo as other cameras would give it: tone, softness, noise, compression."""
    image: np.ndarray = light.astype(np.float32)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        image = 255.0 * np.clip(image * np.float32(rng.uniform(0.8, 1.2) / 255.0), 0, 1) ** np.float32(
            rng.uniform(0.6, 1.6)
        )
    if rng.random() < 0.3:
        image += rng.uniform(1, 8) * noise(rng, (image.shape[0], image.shape[1]))
    return np.clip(image, 0, 255).astype(np.uint8)


def copy_of(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photocopy at random settings, the usual ones included."""
    variant = "gegl" if rng.random() < 0.75 else "classic"
    usual = photocopy(light, variant=variant)
    if rng.random() < 0.55:
        return usual
    copy = photocopy(
        light,
        variant=variant,
        mask_radius=float(np.exp(rng.uniform(np.log(4), np.log(30)))),
        sharpness=rng.uniform(0.2, 1.0),
        black=float(rng.choice([0.0, 0.05, 0.2, 0.4], p=[0.1, 0.2, 0.5, 0.2])),
        white=rng.uniform(0.03, 0.5),
        threshold=0.75 if rng.random() < 0.5 else rng.uniform(0.66, 0.92),
    )
    # Settings that leave next to nothing on the paper would ask for lines that nobody can see.
    return copy if (copy < _DARK).sum() > 0.4 * (usual < _DARK).sum() else usual


def face_weight(landmarks: np.ndarray, size: int) -> np.ndarray:
    """How much a pixel counts: 1 outside the face, 2 inside, 3 on its features and the jaw; (size, size) float32."""
    weight = np.ones((size, size), np.float32)
    face = face_contours.face_outline(landmarks)
    cv2.fillPoly(weight, [np.rint(np.clip(face, -8192, 8192)).astype(np.int32)], 2.0)
    cv2.polylines(weight, [np.rint(np.clip(landmarks[:17], -8192, 8192)).astype(np.int32)], False, 3.0, 13)
    for part in (range(29, 36), range(36, 42), range(42, 48), range(48, 60)):
        hull = cv2.convexHull(np.rint(np.clip(landmarks[list(part)], -8192, 8192)).astype(np.int32))
        cv2.fillConvexPoly(weight, hull, 3.0)
        cv2.polylines(weight, [hull], True, 3.0, 13)
    return weight
