"""Faces and landmarks by MediaPipe's small models (Apache-2.0), with the interface of the dlib landmarker."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sketchprep.ops.mesh_landmarks import landmarks_68
from sketchprep.sketching.face_detector import DetectedFace, FaceDetector
from sketchprep.sketching.face_mesh import FACE, FaceMesh, Mesh
from sketchprep.sketching.landmarks import FRAME_BOX, Box

__all__ = ["MediaPipeLandmarker"]

LEAST = 0.3  # of the largest face's side: what else is looked for


class MediaPipeLandmarker:
    """Finds faces of any size and roll and their landmarks; picklable.

    Only what the mesh network takes for a face counts as one.

    Parameters
    ----------
    detector_path, mesh_path : path
        ``face_detection_short_range.tflite`` and ``face_landmark.tflite``.
    """

    def __init__(self, detector_path: str | Path, mesh_path: str | Path) -> None:
        self.detector, self.mesh = FaceDetector(detector_path), FaceMesh(mesh_path)

    def meshes(self, image: np.ndarray) -> list[Mesh]:
        """The meshes of all faces from 0.3 times the largest one up, the largest first; uint8 RGB (H, W, 3)."""
        fitted = [self.mesh.fit(image, face) for face in self.detector.detect(image, least=LEAST)]
        return sorted((mesh for mesh in fitted if mesh.evidence >= FACE), key=lambda mesh: -_side(mesh))

    def faces(self, image: np.ndarray) -> list[Box]:
        """Boxes of the faces, the largest first; their score is the mesh's evidence."""
        return [_box(mesh) for mesh in self.meshes(image)]

    def points(self, image: np.ndarray, box: Box) -> np.ndarray:
        """The 68 landmarks of the face in a box: float64, shape (68, 2), (x, y) in pixels."""
        return landmarks_68(self.mesh.fit(image, _face(box)).points)

    def frame_points(self, image: np.ndarray) -> np.ndarray:
        """The 68 landmarks of a photo in the FFHQ/CelebA-HQ frame, without looking for the face."""
        height, width = image.shape[:2]
        left, top, right, bottom = FRAME_BOX
        return self.points(
            image, Box(left * width - 0.5, top * height - 0.5, right * width - 0.5, bottom * height - 0.5)
        )


def _side(mesh: Mesh) -> float:
    return float(np.ptp(mesh.points, axis=0).max())


def _box(mesh: Mesh) -> Box:
    low, high = mesh.points.min(0), mesh.points.max(0)
    centre, half = (low + high) / 2, _side(mesh) / 2
    (left, top), (right, bottom) = (centre - half).tolist(), (centre + half).tolist()
    return Box(left, top, right, bottom, score=mesh.evidence)


def _face(box: Box) -> DetectedFace:
    centre = np.array([box.left + box.right, box.top + box.bottom]) / 2
    return DetectedFace(centre=centre, side=box.side, roll=0.0, score=1.0, points=np.zeros((6, 2)))
