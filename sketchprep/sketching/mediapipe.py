"""Faces and landmarks by MediaPipe's small models (Apache-2.0), with the interface of the dlib landmarker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sketchprep.ops.mesh_landmarks import landmarks_68
from sketchprep.sketching.face_detector import SEEN, SIDE, DetectedFace, FaceDetector
from sketchprep.sketching.face_mesh import FACE, FaceMesh, Mesh
from sketchprep.sketching.landmarks import FRAME_BOX, Box

__all__ = ["LEAST", "MediaPipeLandmarker", "Meshes", "box_of", "open_mediapipe", "side_of"]

LEAST = 0.3
"""Of the largest face's side: what other faces are looked for."""
SHARES = (1.0, 1 / 2, 1 / 4)  # of the photo, in the search for a first face
CLOSEST = 1 / 8  # of the photo: the smallest part that is looked at for others
CAUTION = 0.9  # the parts are by so much smaller than the detector's figure asks for
SAME = 0.3  # intersection over union from which two meshes are one face's


class Meshes(NamedTuple):
    """What was fitted to a photo.

    Attributes
    ----------
    faces : list of Mesh
        With enough evidence, the largest first.
    doubtful : list of Mesh
        What the detector took for a face and the mesh does not, the strongest first.
    """

    faces: list[Mesh]
    doubtful: list[Mesh]


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

    def load(self) -> None:
        """Open the files now rather than on first use."""
        self.detector.load()
        self.mesh.load()

    def meshes(self, image: np.ndarray, *, evidence: float = FACE, least: float = LEAST) -> Meshes:
        """Fit meshes to the faces of a photo.

        Looks at the whole photo first, and at ever smaller parts of it while there is no face.  Once there is one, the
        whole photo is looked at again, in parts so small that no face of `least` times its side can be missed.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3) or (H, W)
            RGB, or grey.
        evidence : float
            From which a mesh counts as a face's; see `sketchprep.sketching.face_mesh.FACE`.
        least : float
            Of the largest face's side, 0 to 1; with 0 the search ends with the first look that shows a face.
        """
        image = _rgb(image)
        seen: list[DetectedFace] = []
        fitted: list[Mesh] = []
        for share in self._shares(image, fitted, evidence, least):
            found = self.detector.scan(image, share, seen)
            seen += found
            fitted += [self.mesh.fit(image, face) for face in found]
        fitted[:] = _distinct(fitted)
        return Meshes(
            sorted((mesh for mesh in fitted if mesh.evidence >= evidence), key=lambda mesh: -side_of(mesh)),
            sorted((mesh for mesh in fitted if not mesh.evidence >= evidence), key=lambda mesh: -mesh.evidence),
        )

    def _shares(self, image: np.ndarray, fitted: list[Mesh], evidence: float, least: float) -> Iterator[float]:
        """Sides of the parts to look at next, in longest sides of the photo, as long as that is worth it."""
        longest = max(image.shape[:2])
        for share in SHARES:
            if share * longest < SIDE / 2 and share < 1:
                return  # parts would only be enlarged
            yield share
            sides = [side_of(mesh) for mesh in fitted if mesh.evidence >= evidence]
            if sides:
                closer = max(CLOSEST, CAUTION * least * max(sides) / longest / SEEN, SIDE / 2 / longest)
                if least and closer < share:
                    yield closer
                return

    def faces(self, image: np.ndarray) -> list[Box]:
        """Boxes of all faces from 0.3 times the largest one up, the largest first; uint8, RGB or grey.

        Their score is the mesh's evidence.
        """
        return [box_of(mesh) for mesh in self.meshes(image).faces]

    def largest(self, image: np.ndarray) -> np.ndarray | None:
        """The 68 landmarks of the largest face, (x, y) in pixels, shape (68, 2); None if no face is found."""
        faces = self.meshes(image, least=0.0).faces
        return landmarks_68(faces[0].points) if faces else None

    def points(self, image: np.ndarray, box: Box) -> np.ndarray:
        """The 68 landmarks of the face in a box: float64, shape (68, 2), (x, y) in pixels."""
        return landmarks_68(self.mesh.fit(_rgb(image), _face(box)).points)

    def frame_points(self, image: np.ndarray) -> np.ndarray:
        """The 68 landmarks of a photo in the FFHQ/CelebA-HQ frame, without looking for the face."""
        return landmarks_68(self.frame_mesh(image).points)

    def frame_mesh(self, image: np.ndarray) -> Mesh:
        """The mesh of the face of a photo in the FFHQ/CelebA-HQ frame, fitted where the face should be."""
        height, width = image.shape[:2]
        left, top, right, bottom = FRAME_BOX
        box = Box(left * width - 0.5, top * height - 0.5, right * width - 0.5, bottom * height - 0.5)
        return self.mesh.fit(_rgb(image), _face(box))


def open_mediapipe(*, offline: bool = False) -> MediaPipeLandmarker:
    """The `MediaPipeLandmarker` with the models of the weights' manifest.

    Raises
    ------
    UserError
        If they are missing and cannot be fetched.
    """
    from sketchprep.core import weights

    return MediaPipeLandmarker(
        weights.path("mediapipe-face-detector", offline=offline), weights.path("mediapipe-face-mesh", offline=offline)
    )


def side_of(mesh: Mesh) -> float:
    """Side in pixels of the square around a face, ears and forehead included."""
    return float(np.ptp(mesh.points, axis=0).max())


def box_of(mesh: Mesh) -> Box:
    """That square; its score is the mesh's evidence."""
    low, high = mesh.points.min(0), mesh.points.max(0)
    centre, half = (low + high) / 2, side_of(mesh) / 2
    (left, top), (right, bottom) = (centre - half).tolist(), (centre + half).tolist()
    return Box(left, top, right, bottom, score=mesh.evidence)


def _rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _distinct(meshes: list[Mesh]) -> list[Mesh]:
    """The strongest mesh of each face: a head that lies on its side is often detected twice."""
    kept: list[Mesh] = []
    for mesh in sorted(meshes, key=lambda mesh: -mesh.evidence):
        if all(_overlap(box_of(mesh), box_of(other)) < SAME for other in kept):
            kept.append(mesh)
    return kept


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    inner = max(0.0, width) * max(0.0, height)
    return inner / (one.side**2 + other.side**2 - inner)


def _face(box: Box) -> DetectedFace:
    centre = np.array([box.left + box.right, box.top + box.bottom]) / 2
    return DetectedFace(centre=centre, side=box.side, roll=0.0, score=1.0, points=np.zeros((6, 2)))
