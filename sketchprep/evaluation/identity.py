"""Face descriptor of dlib: 128 numbers that are close for two photos of one person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.errors import UserError
from sketchprep.ops.resize import resize

__all__ = ["FEATURES", "Descriptor"]

FEATURES = 128
_SIDE, _PADDING = 150, 0.25  # of the face as the network was trained on it
_FRAME = 512  # dlib's landmarks are whole pixels: in a large picture that matters less


class Descriptor:
    """Describes the face at given landmarks; see D. E. King, "High quality face recognition with deep metric learning".

    No loss of a training uses it, so that no model was taught to please it.

    Parameters
    ----------
    path : path
        dlib's ``dlib_face_recognition_resnet_model_v1.dat``.

    Raises
    ------
    UserError
        If the file is missing or something else.
    """

    def __init__(self, path: str | Path) -> None:
        import dlib

        try:
            self._network: Any = dlib.face_recognition_model_v1(str(path))
        except RuntimeError:
            raise UserError(
                f"{path}: is no face descriptor of dlib; get it again with `sketchprep fetch dlib-face-descriptor`"
            ) from None

    def __call__(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Describe one face.

        Parameters
        ----------
        picture : ndarray of uint8, shape (S, S, 3)
            RGB.
        landmarks : ndarray, shape (68, 2)
            (x, y) in pixels; where the face is looked at, whether or not a detector would find one there.

        Returns
        -------
        ndarray of float64, shape (128,)
            Photos of one person are as a rule closer than 0.6.
        """
        import dlib

        scale = _FRAME / len(picture)
        large = np.ascontiguousarray(resize(picture, (_FRAME, _FRAME)))
        points = [dlib.point(int(x), int(y)) for x, y in np.rint((np.asarray(landmarks) + 0.5) * scale - 0.5)]
        shape = dlib.full_object_detection(dlib.rectangle(0, 0, _FRAME - 1, _FRAME - 1), dlib.points(points))
        chip = dlib.get_face_chip(large, shape, _SIDE, _PADDING)
        return np.array(self._network.compute_face_descriptor(chip))
