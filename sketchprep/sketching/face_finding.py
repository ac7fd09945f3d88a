"""The wanted face of one photo: its landmarks by the recipe's predictor, if there is evidence that it is a face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sketchprep.errors import SampleError
from sketchprep.ops.warp import transform_points
from sketchprep.sketching import face_evidence, selection

if TYPE_CHECKING:
    from sketchprep.sketching.face_evidence import FaceEvidence
    from sketchprep.sketching.landmarks import Box, Landmarker
    from sketchprep.sketching.mediapipe import MediaPipeLandmarker
    from sketchprep.sketching.recipe import Recipe

__all__ = ["FaceFinder"]

_SAME = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True, slots=True)
class FaceFinder:
    """Finds the wanted face, or says why there is none.

    Every method takes a picture and the 2×3 map to it from the photo that the evidence is of, and returns landmarks of
    shape (68, 2), (x, y) in pixels of that picture.

    Attributes
    ----------
    recipe : Recipe
    landmarker : Landmarker or MediaPipeLandmarker
    evidence : FaceEvidence or None
        None where the recipe asks for none: then the landmarker is believed.
    """

    recipe: Recipe
    landmarker: Landmarker | MediaPipeLandmarker
    evidence: FaceEvidence | None

    def largest(self, picture: np.ndarray, matrix: np.ndarray = _SAME) -> np.ndarray:
        """The largest face, wherever it is.

        Raises
        ------
        SampleError
            If there is none, if it does not stand upright, or if there are more and only one is wanted.
        """
        one_face = self.recipe.select.one_face
        if self.evidence is None:
            boxes = self.landmarker.faces(picture)
            _demand(selection.check_face_count(len(boxes), one_face=one_face))
            return self.landmarker.points(picture, boxes[0])
        _demand(face_evidence.check_face(self.evidence))
        _demand(face_evidence.check_upright(self.evidence))
        if one_face:
            _demand(face_evidence.check_alone(self.evidence))
        if self.recipe.landmarks == "mediapipe":
            return transform_points(matrix, self.evidence.points)
        return self._agreed(self.landmarker.points(picture, self._box(picture, matrix)), matrix)

    def largest_or_none(self, picture: np.ndarray, matrix: np.ndarray) -> np.ndarray | None:
        """The largest face; None where the picture shows none and no rule of the selection needs one."""
        try:
            return self.largest(picture, matrix)
        except SampleError as error:
            rules = self.recipe.select
            if error.kind == "several-faces" or rules.min_eye_distance or rules.pose.limits:
                raise
            return None

    def in_frame(self, picture: np.ndarray, frame: str, matrix: np.ndarray = _SAME) -> np.ndarray:
        """The face of a photo that is said to be in a frame.

        Raises
        ------
        SampleError
            If there is none, or if it lies elsewhere or otherwise than the frame has it.
        """
        if self.evidence is not None:
            _demand(face_evidence.check_face(self.evidence))
            _demand(face_evidence.check_place(self.evidence, frame))
            if self.recipe.landmarks == "mediapipe":
                return transform_points(matrix, self.evidence.points)
        return self._agreed(self.landmarker.frame_points(picture), matrix)

    def _box(self, picture: np.ndarray, matrix: np.ndarray) -> Box:
        """Where dlib's detector sees the face of the evidence."""
        assert self.evidence is not None
        box = self.evidence.box_among(self.landmarker.faces(picture), matrix)
        if box is None:
            message = f"dlib finds no face where MediaPipe does (score {self.evidence.score:.1f})"
            raise SampleError("no-face", f"{message}; --set landmarks=mediapipe takes its", rejected=True)
        return box

    def _agreed(self, points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """The same landmarks, if they lie on the face of the evidence."""
        if self.evidence is not None:
            in_photo = transform_points(cv2.invertAffineTransform(matrix), points)
            _demand(face_evidence.check_agreement(self.evidence, in_photo))
        return points


def _demand(error: SampleError | None) -> None:
    if error is not None:
        raise error
