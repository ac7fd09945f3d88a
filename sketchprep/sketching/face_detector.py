"""Faces of any size and roll by MediaPipe's short-range detector (BlazeFace; Bazarevsky et al. 2019).

The network sees 128×128 pixels and answers for 896 anchors, each with a score, a box and six points.  It finds faces
from about a sixth of its picture upward, so smaller ones are looked for in overlapping parts of the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sketchprep.ops.resize import resize
from sketchprep.sketching.tflite import TFLiteNetwork

__all__ = ["SEEN", "SIDE", "DetectedFace", "FaceDetector"]

SIDE = 128
"""Of the picture that the network sees, pixels."""
SCORE = 0.5  # below it an anchor counts as background
OVERLAP = 0.3  # intersection over union from which two boxes are one face
SEEN = 0.17
"""Least side of a face, in sides of the picture, that one look surely finds."""
MOST_SCORE = 80.0  # beyond it the sigmoid is 0 or 1 in float32


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """A face in a photo.

    Attributes
    ----------
    centre : ndarray of float64, shape (2,)
        (x, y) in pixels; the first pixel's centre is (0, 0).
    side : float
        Of the square box around brows to chin, pixels.
    roll : float
        Degrees by which the line of the eyes is turned clockwise, -180 to 180.
    score : float
        0 to 1.
    points : ndarray of float64, shape (6, 2)
        Eye left in the image of an upright face, the other eye, nose tip, mouth, and beside both ears.
    """

    centre: np.ndarray
    side: float
    roll: float
    score: float
    points: np.ndarray


class FaceDetector:
    """Find faces; picklable.

    Parameters
    ----------
    path : path
        MediaPipe's ``face_detection_short_range.tflite``.
    """

    def __init__(self, path: str | Path) -> None:
        self._net = TFLiteNetwork(path, ("regressors", "classificators"), weight="mediapipe-face-detector")

    def load(self) -> None:
        """Open the file now rather than on first use."""
        self._net.load()

    def scan(self, image: np.ndarray, share: float = 1.0, known: Sequence[DetectedFace] = ()) -> list[DetectedFace]:
        """Faces in overlapping square parts of a photo that nobody knows yet, the surest first.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            RGB.
        share : float
            Side of a part in the photo's longest sides; 1 looks at the whole photo at once.  Faces whose side is at
            least `SEEN` of a part's are surely found.
        known : sequence of DetectedFace
            Faces that wider looks saw.  They are not averaged with what is seen here: a part may cut a face.
        """
        looks = [face for part in _parts(image.shape[0], image.shape[1], share) for face in self._look(image, part)]
        found: list[DetectedFace] = []
        for face in sorted(looks, key=lambda face: -face.score):
            if all(_overlap(face, other) < OVERLAP for other in (*known, *found)):
                found.append(face)
        return found

    def _look(self, image: np.ndarray, part: tuple[float, float, float]) -> list[DetectedFace]:
        """Faces in a square part of the photo, given by its left and top edge and its side, padded with black."""
        left, top, side = part
        patch, scale = _square(image, round(left), round(top), round(side))
        boxes, scores = self._net.run(patch.astype(np.float32) / 127.5 - 1)
        scores = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -MOST_SCORE, MOST_SCORE)))
        origin = np.array([round(left), round(top)], np.float64)
        faces = []
        for anchor in np.flatnonzero(scores > SCORE):
            values = boxes.reshape(len(_ANCHORS), 16)[anchor].astype(np.float64)
            places = (values.reshape(8, 2) / SIDE * scale) - 0.5 + origin
            offset = _ANCHORS[anchor] * scale
            points = places[2:] + offset
            across = points[1] - points[0]
            faces.append(
                DetectedFace(
                    centre=places[0] + offset,
                    side=float(values[2:4].max() / SIDE * scale),
                    roll=float(np.degrees(np.arctan2(across[1], across[0]))),
                    score=float(scores[anchor]),
                    points=points,
                )
            )
        return _blend(faces)


def _anchors() -> np.ndarray:
    """Centres of the anchors as shares of the picture: two a cell of 8 pixels, six a cell of 16."""
    centres = []
    for stride, count in ((8, 2), (16, 6)):
        axis = (np.arange(SIDE // stride) + 0.5) * stride / SIDE
        x, y = np.meshgrid(axis, axis)
        centres.append(np.stack([x, y], -1).reshape(-1, 2).repeat(count, 0))
    return np.concatenate(centres)


_ANCHORS = _anchors()


def _parts(height: int, width: int, share: float) -> list[tuple[float, float, float]]:
    """Squares that cover a photo: left, top, side in pixels.

    Two neighbours overlap by what a look at the whole photo surely finds, so that no smaller face is cut by all.
    """
    longest = max(height, width)
    side = share * longest
    if share >= 1:
        return [((width - longest) / 2, (height - longest) / 2, longest)]

    def starts(length: int) -> np.ndarray:
        if length <= side:
            return np.array([(length - side) / 2])
        step = side - min(SEEN * longest, side / 2)
        return np.linspace(0, length - side, int(np.ceil((length - side) / step - 1e-9)) + 1)

    return [(float(x), float(y), side) for y in starts(height) for x in starts(width)]


def _square(image: np.ndarray, left: int, top: int, side: int) -> tuple[np.ndarray, float]:
    """Cut out a square at the network's size, black outside the photo; and the square's side in pixels of the photo."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    patch = image[y0:y1, x0:x1]
    scale = SIDE / side
    inner = resize(patch, (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))))
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    x, y = min(round((x0 - left) * scale), SIDE - inner.shape[1]), min(round((y0 - top) * scale), SIDE - inner.shape[0])
    square[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return square, float(side)


def _blend(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Boxes of one face in one look become their mean, weighted with their scores, as BlazeFace has it."""
    left = sorted(faces, key=lambda face: -face.score)
    joined = []
    while left:
        best = left[0]
        group = [face for face in left if _overlap(best, face) >= OVERLAP or face is best]
        left = [face for face in left if all(face is not one for one in group)]
        weights = np.array([face.score for face in group])
        points = np.average([face.points for face in group], axis=0, weights=weights)
        across = points[1] - points[0]
        joined.append(
            DetectedFace(
                centre=np.average([face.centre for face in group], axis=0, weights=weights),
                side=float(np.average([face.side for face in group], weights=weights)),
                roll=float(np.degrees(np.arctan2(across[1], across[0]))),
                score=best.score,
                points=points,
            )
        )
    return joined


def _overlap(a: DetectedFace, b: DetectedFace) -> float:
    """Intersection over union of two boxes, or over the smaller one where it lies almost whole in the other."""
    sides = np.minimum(a.centre + a.side / 2, b.centre + b.side / 2) - np.maximum(
        a.centre - a.side / 2, b.centre - b.side / 2
    )
    inner = float(np.prod(np.clip(sides, 0, None)))
    union = a.side**2 + b.side**2 - inner
    least = min(a.side, b.side) ** 2
    return max(inner / union, inner / least if inner > 0.8 * least else 0.0)
