"""Line drawings of real photos, the target that photocopies are simplified to.

Where a line runs is decided by what a photocopy of the photo shows, since nothing else can be asked of whoever sees the
photocopy alone: a difference of Gaussians that follows the flow of the light, at two scales, over the usual photocopy.
An edge network's probability knows outlines from texture, and the face's landmarks know where eyelids, nose, lips and
jaw must be even where the light hides them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sketchprep.models.simplifier.data import face_contours, face_features
from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.ops import edge_flow
from sketchprep.ops.connected_components import hysteresis
from sketchprep.ops.photocopy import photocopy

__all__ = ["PARTS", "coverage", "face_mask", "teacher_strokes"]

PARTS = {
    "left_eye": face_contours.EYES[0],
    "right_eye": face_contours.EYES[1],
    "nose": face_contours.NOSE,
    "mouth": face_contours.MOUTH,
    "jaw": face_contours.JAW,
}
_FEATURES = (
    (face_features.brow, slice(17, 22)),
    (face_features.brow, slice(22, 27)),
    (face_features.eye, slice(36, 42)),
    (face_features.eye, slice(42, 48)),
)


def teacher_strokes(light: np.ndarray, edges: np.ndarray, landmarks: np.ndarray) -> list[vector.Stroke]:
    """Draw the lines of a portrait.

    Parameters
    ----------
    light : ndarray, (512, 512) uint8
        Luminance in the FFHQ/CelebA-HQ frame, for which the widths below are made.
    edges : ndarray, (512, 512) float32
        Probability of an edge, 0 to 1, of the edge network.
    landmarks : ndarray, (68, 2) float
        x and y in the frame.

    Returns
    -------
    list of ndarray, (N, 2) float32
    """
    grey = light.astype(np.float32) / 255
    zones = _zones(landmarks, grey.shape)
    lines, depth = copy_lines(light)
    evidence = _gated(lines, depth, edges, zones)
    kept = hysteresis(evidence > 0.4, evidence > 0.9, min_length=14.0, keep=zones.features > 0.5)
    strokes = _long_enough(vector.trace(kept, gap=10.0, spur=8.0, sigma=2.0), zones)
    # What the photo shows and the photocopy does not may still guide a line that must be drawn anyway.
    witness = np.maximum(evidence, 0.4 * np.minimum(photo_lines(grey), 1.5))
    for draw, points in _FEATURES:
        drawn, area = draw(grey, witness, landmarks[points])
        strokes = vector.cut(strokes, vector.inside(area, grey.shape, margin=3.0))
        strokes = [stroke for stroke, length in zip(strokes, vector.lengths(strokes), strict=True) if length >= 9.0]
        strokes += drawn
    return face_contours.complete(strokes, witness, landmarks)


@dataclass(frozen=True, slots=True)
class _Zones:
    """Soft masks, 1 inside: the face, its features, all of the person as far as can be guessed, head and hair."""

    face: np.ndarray
    features: np.ndarray
    person: np.ndarray
    hair: np.ndarray


def _zones(landmarks: np.ndarray, shape: tuple[int, ...]) -> _Zones:
    person = np.zeros(shape[:2], np.float32)
    chin, brow = landmarks[8], landmarks[27]
    half = 0.5 * float(np.hypot(*(landmarks[16] - landmarks[0])))
    tall = float(np.hypot(*(chin - brow)))
    up = (brow - chin) / max(tall, 1e-6)
    turn = float(np.degrees(np.arctan2(up[0], -up[1])))
    hair = np.zeros_like(person)
    for mask, centre, axes in (
        (hair, brow + 0.05 * tall * up, (1.35 * half, 1.45 * tall)),
        (person, brow + 0.05 * tall * up, (1.7 * half, 1.5 * tall)),
        (person, chin - 1.0 * tall * up, (2.6 * half, 1.2 * tall)),
    ):
        middle = tuple(np.rint(np.clip(centre, -8192, 8192)).astype(int).tolist())
        size = (max(1, round(min(axes[0], 4096))), max(1, round(min(axes[1], 4096))))
        cv2.ellipse(mask, middle, size, turn, 0, 360, 1.0, -1)
    return _Zones(
        face_mask(landmarks, shape, softness=12.0),
        face_contours.feature_zone(landmarks, shape),
        cv2.GaussianBlur(person, (0, 0), 15.0),
        cv2.GaussianBlur(hair, (0, 0), 15.0),
    )


def copy_lines(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines of the usual photocopy of a picture, (H, W) uint8.

    Returns
    -------
    lines, depth : ndarray, (H, W) float32
        Against the busyness around, about 1 for a clear line; and in units of log-lightness.
    """
    copy = photocopy(light)
    ink = np.log(cv2.GaussianBlur(copy, (0, 0), 0.8).astype(np.float32) / 255 + np.float32(0.3))
    depth = _depth(ink, _flow(light.astype(np.float32) / 255))
    return _stands_out(depth), depth


def photo_lines(grey: np.ndarray) -> np.ndarray:
    """Dark lines of a picture, (H, W) float32 from 0 to 1, likewise."""
    return _stands_out(_depth(np.log(grey + np.float32(0.08)), _flow(grey)))


def _flow(grey: np.ndarray) -> np.ndarray:
    plane = cv2.GaussianBlur(np.log(grey + np.float32(0.08)), (0, 0), 1.0)
    return edge_flow.edge_tangent_flow(plane, radius=5, iterations=3)


def _depth(plane: np.ndarray, field: np.ndarray) -> np.ndarray:
    """How much darker than its surroundings a line of a logarithmic plane is, fine or broad."""
    fine = -edge_flow.flow_dog(plane, field, sigma_line=1.2, sigma_flow=4.0, rho=1.0)
    broad = -edge_flow.flow_dog(plane, field, sigma_line=2.4, sigma_flow=6.0, rho=1.0)
    return np.maximum(np.maximum(fine, 0.8 * broad), 0.0)


def _stands_out(depth: np.ndarray) -> np.ndarray:
    """Depth against the busyness around it."""
    busy = cv2.GaussianBlur(depth, (0, 0), 12.0)
    return np.maximum(depth - 0.7 * busy, 0.0) / (0.012 + 0.6 * busy)


def _gated(lines: np.ndarray, depth: np.ndarray, edges: np.ndarray, zones: _Zones) -> np.ndarray:
    """Evidence of a line: how it stands out, less where the edge network disagrees; on a feature at least its depth."""
    near = cv2.dilate(edges, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    crowd = cv2.GaussianBlur(edges, (0, 0), 16.0)
    doubt = (1 - zones.person) * (0.1 + 0.6 * crowd) + 0.2 * zones.person * crowd
    trust = np.clip((near - 0.08 - doubt) / 0.25, 0, 1)
    trust = np.maximum(trust, 0.25 + 0.3 * zones.hair)
    skin = lines * np.maximum(trust, 0.55)
    return _mix(_mix(lines * trust, skin, zones.face), np.maximum(lines, depth / 0.045), zones.features)


def _mix(outer: np.ndarray, inner: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return outer + mask * (inner - outer)


def _long_enough(strokes: list[vector.Stroke], zones: _Zones) -> list[vector.Stroke]:
    """Drop short strokes: the shorter, the nearer to a feature it must be."""
    kept = []
    height, width = zones.face.shape
    for stroke, length in zip(strokes, vector.lengths(strokes), strict=True):
        x, y = np.clip(np.rint(stroke).astype(int).T, 0, [[width - 1], [height - 1]])
        person, face, feature = (m[y, x].mean() for m in (zones.person, zones.face, zones.features))
        need = 80.0 + person * (26.0 - 80.0)
        need += face * (18.0 - need)
        need += feature * (8.0 - need)
        if length >= need:
            kept.append(stroke)
    return kept


def face_mask(landmarks: np.ndarray, shape: tuple[int, ...], *, softness: float = 0.0) -> np.ndarray:
    """The face from the jaw to the brows' height again above them, 1 inside; (H, W) float32.

    Parameters
    ----------
    landmarks : ndarray, (68, 2) float
    shape : tuple of int
        H, W.
    softness : float
        Standard deviation in pixels of the border.
    """
    outline = face_contours.face_outline(landmarks)
    mask = np.zeros(shape[:2], np.float32)
    cv2.fillPoly(mask, [np.rint(np.clip(outline, -8192, 8192)).astype(np.int32)], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), softness) if softness > 0 else mask


def coverage(sketch: np.ndarray, landmarks: np.ndarray, *, reach: float = 3.0) -> dict[str, float]:
    """Share of each part's landmark polyline that has ink nearby.

    Parameters
    ----------
    sketch : ndarray, (H, W) uint8
        Black ink on white.
    landmarks : ndarray, (68, 2) float
    reach : float
        In pixels; 3 is meant for the frame of 512 px.

    Returns
    -------
    dict of str to float
        For the keys of `PARTS`, 0 to 1; points outside the picture are not counted.
    """
    away = cv2.distanceTransform((sketch >= 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    shares = {}
    for part, polylines in PARTS.items():
        points = np.concatenate([face_contours.dense(landmarks[list(line)]) for line in polylines])
        x, y = np.rint(points).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < sketch.shape[1]) & (y < sketch.shape[0])
        shares[part] = float((away[y[inside], x[inside]] <= reach).mean()) if inside.any() else 1.0
    return shares
