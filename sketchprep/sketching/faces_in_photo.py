"""The one face of a photo that somebody wants drawn: none, several and a photo on its side are asked back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sketchprep.errors import SampleError

if TYPE_CHECKING:
    from sketchprep.sketching.landmarks import Box, Landmarker
    from sketchprep.sketching.mediapipe import MediaPipeLandmarker

__all__ = ["only_face"]

# What counts beside the largest face: the share of its side and the detector's score.
_AS_LARGE, _SURE = 0.4, 0.3
# Faces that stand on their head are found too, with lower scores than upright ones: those up to the first are looked at
# in other positions, and one is believed whose score is higher by the second.
_DOUBTFUL, _HIGHER = 0.65, 0.3


def only_face(
    photo: np.ndarray, landmarker: Landmarker | MediaPipeLandmarker, *, required: bool = True
) -> np.ndarray | None:
    """The 68 landmarks of a photo's only face.

    Parameters
    ----------
    photo : ndarray of uint8, shape (H, W, 3)
    landmarker : Landmarker or MediaPipeLandmarker
    required : bool
        Whether the picture is sure to be a photo.

    Returns
    -------
    ndarray of float64, shape (68, 2), or None
        (x, y) in pixels; None if no face is found and none is required.

    Raises
    ------
    SampleError
        ``"several-faces"`` where another face is nearly as large; ``"no-face"`` if one is required and none is
        found, or if the photo must be turned first.
    """
    faces = landmarker.faces(photo)
    if required and (not faces or faces[0].score < _DOUBTFUL):
        _demand_upright(photo, landmarker, faces[0].score if faces else _SURE - _HIGHER)
    if not faces and required:
        remedy = "cut the face out, give its points with --align x,y,…, or say --input sketch if it is a drawing"
        raise SampleError("no-face", f"no face was found in the photo; {remedy}")
    if not faces:
        return None
    others = [face for face in faces[1:] if face.side >= _AS_LARGE * faces[0].side and face.score >= _SURE]
    if others:
        raise SampleError("several-faces", _which([faces[0], *others]))
    return landmarker.points(photo, faces[0])


def _demand_upright(photo: np.ndarray, landmarker: Landmarker | MediaPipeLandmarker, score: float) -> None:
    """Raise if a face is seen more clearly once the photo is turned."""
    for turns, where in (
        (1, "lies with its top to the left"),
        (3, "lies with its top to the right"),
        (2, "is upside down"),
    ):
        turned = landmarker.faces(np.ascontiguousarray(np.rot90(photo, -turns)))
        if turned and turned[0].score >= score + _HIGHER:
            raise SampleError("no-face", f"the photo {where}; turn it upright and give it again")


def _which(faces: list[Box]) -> str:
    middles = sorted(((face.left + face.right) / 2, (face.top + face.bottom) / 2) for face in faces)
    places = ", ".join(f"{x:.0f},{y:.0f}" for x, y in middles)
    return f"{len(faces)} faces were found, about {places} px; cut one out, or name its points with --align x,y,…"
