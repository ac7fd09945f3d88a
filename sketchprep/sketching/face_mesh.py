"""468 points of a face by MediaPipe's mesh network (Kartynnik et al., "Real-time facial surface geometry", 2019).

The network sees the face upright in a square of 192 pixels.  Where a face is turned, the square is turned with it:
first by the detector's eyes, then again by the mesh's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sketchprep.ops.mesh_landmarks import EYE_CORNERS
from sketchprep.ops.warp import quad_matrix, transform_points, warp
from sketchprep.sketching.face_detector import DetectedFace
from sketchprep.sketching.tflite import TFLiteNetwork

__all__ = ["FACE", "POINTS", "SURE", "FaceMesh", "Mesh"]

SIDE = 192
POINTS = 468
MARGIN = 1.5  # the square's side in sides of the face's box
# The network's own evidence for a face, a logit.  On 160 synthetic portraits it is 12 to 40 the right way up and
# up to 16 upside down, where the detector was wrong about a face at most 8; so below SURE the other orientations are
# tried, and below FACE there is no face.
SURE, FACE = 18.0, 10.0
TURNED = 3.0  # degrees from which another look is worth its time
MOVED = 0.05  # of the square's side, likewise
MOST_LOOKS = 3  # more

_Square = tuple[np.ndarray, float, float]  # centre, side, roll of what the network sees


@dataclass(frozen=True, slots=True)
class Mesh:
    """A face's surface.

    Attributes
    ----------
    points : ndarray of float64, shape (468, 2)
        (x, y) in pixels of the photo.
    depth : ndarray of float64, shape (468,)
        Away from the camera, in the same unit, from an origin in the head.
    evidence : float
        Logit that there is a face which lies as the mesh says; see `FACE`.
    roll : float
        Degrees by which the line of the eyes is turned clockwise, -180 to 180.
    """

    points: np.ndarray
    depth: np.ndarray
    evidence: float
    roll: float


class FaceMesh:
    """Fit the mesh to a detected face; picklable.

    Parameters
    ----------
    path : path
        MediaPipe's ``face_landmark.tflite``.
    """

    def __init__(self, path: str | Path) -> None:
        self._net = TFLiteNetwork(path, ("conv2d_21", "conv2d_31"), weight="mediapipe-face-mesh")

    def load(self) -> None:
        """Open the file now rather than on first use."""
        self._net.load()

    def fit(self, image: np.ndarray, face: DetectedFace) -> Mesh:
        """The mesh of one face, whichever way up it is.

        The detector finds faces that lie on their side or stand on their head too, but takes them for upright ones.  So
        where the evidence is weak the face is looked at in all four orientations, and the strongest one counts.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            RGB.
        face : DetectedFace
        """
        square = (face.centre, MARGIN * face.side, face.roll)
        mesh = self._refine(image, square, self._look(image, *square))
        if mesh.evidence < SURE:
            turned = [(*square[:2], face.roll + turn) for turn in (180, 90, -90)]
            looks = [(self._look(image, *one), one) for one in turned]
            start, square = max(looks, key=lambda look: look[0].evidence)
            mesh = max(mesh, self._refine(image, square, start), key=lambda one: one.evidence)
        return mesh

    def _refine(self, image: np.ndarray, square: _Square, mesh: Mesh) -> Mesh:
        """Look again while the mesh says that the face lies otherwise in the square; the strongest look counts."""
        best = mesh
        for _ in range(MOST_LOOKS):
            again = _square_around(mesh)
            if not _differs(square, again):
                break
            square, mesh = again, self._look(image, *again)
            best = max(best, mesh, key=lambda one: one.evidence)
        return best

    def _look(self, image: np.ndarray, centre: np.ndarray, side: float, roll: float) -> Mesh:
        across = side / 2 * np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))])
        down = np.array([-across[1], across[0]])
        corners = centre + np.stack([-across - down, across - down, across + down, down - across])
        matrix = quad_matrix(corners, SIDE)
        crop = warp(image, matrix, SIDE, border="reflect")
        values, flag = self._net.run(crop.astype(np.float32) / 255)
        values = values.reshape(POINTS, 3).astype(np.float64)
        points = transform_points(cv2.invertAffineTransform(matrix), values[:, :2] - 0.5)
        eyes = points[list(EYE_CORNERS)]
        line = eyes[2:].mean(0) - eyes[:2].mean(0)
        return Mesh(
            points=points,
            depth=values[:, 2] * side / SIDE,
            evidence=float(flag.reshape(-1)[0]),
            roll=float(np.degrees(np.arctan2(line[1], line[0]))),
        )


def _square_around(mesh: Mesh) -> _Square:
    """Centre, side and roll of the square for another look: the upright box of the points, with the margin."""
    turn = np.radians(mesh.roll)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    upright = mesh.points @ axes.T
    low, high = upright.min(0), upright.max(0)
    return (low + high) / 2 @ axes, MARGIN * float((high - low).max()), mesh.roll


def _differs(one: _Square, other: _Square) -> bool:
    turn = abs((one[2] - other[2] + 180) % 360 - 180)
    return bool(turn > TURNED or np.abs(one[0] - other[0]).max() > MOVED * one[1])
