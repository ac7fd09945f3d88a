"""Face boxes and the 68 facial landmarks, by dlib's detector and its shape predictor.

The predictor is an ensemble of regression trees (Kazemi and Sullivan, "One millisecond face alignment with an ensemble
of regression trees", CVPR 2014) with the 68-point mark-up of iBUG 300-W (Sagonas et al., ICCV workshops 2013).
Point indices: jaw 0-16, brows 17-26, nose 27-35, eyes 36-41 (left in the image) and 42-47, lips 48-67.

Coordinates: a point (x, y) counts pixels so that the centre of the first pixel is (0, 0).  Boxes name edges in the same
coordinates: the whole picture is the box (-0.5, -0.5, width - 0.5, height - 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sketchprep.errors import UserError
from sketchprep.ops.resize import resize

__all__ = ["FRAME_BOX", "Box", "Landmarker", "box_around", "open_landmarker"]

# The box that dlib's detector gives, in the median, for a face in the FFHQ/CelebA-HQ frame: left, top, right, bottom as
# fractions of the size.  Measured on CelebA-HQ photos.
FRAME_BOX = (0.206, 0.306, 0.794, 0.894)

_LOOKS = (256, 512, 1024)
# Sides of boxes come in steps of 6/5 from about 73 px on; this lies above the first.
_SMALLEST = 80
# A box follows from the points: side and shift of the centre, both medians over detections on frontal portraits.
_SIDE_PER_SPREAD = 3.10
_CENTRE_SHIFT = (0.0, -0.038)
# Two boxes moved by a twentieth of the side, along a diagonal.
_SHIFTS = np.array([(0.035, 0.035), (-0.035, -0.035)])


@dataclass(frozen=True, slots=True)
class Box:
    """A face: edges in pixels and the detector's score (about 0 is doubtful, 1 and more is sure)."""

    left: float
    top: float
    right: float
    bottom: float
    score: float = 0.0

    @property
    def side(self) -> float:
        """Mean of width and height in pixels."""
        return (self.right - self.left + self.bottom - self.top) / 2


class Landmarker:
    """Finds faces and their landmarks; picklable, it opens its files in each process on first use.

    Parameters
    ----------
    predictor_path : str or Path
        dlib's ``shape_predictor_68_face_landmarks.dat``.

    Raises
    ------
    UserError
        On first use, if the file cannot be read.
    """

    def __init__(self, predictor_path: str | Path) -> None:
        self.predictor_path = str(predictor_path)
        self._loaded: tuple[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"predictor_path": self.predictor_path, "_loaded": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _models(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import dlib

            try:
                predictor = dlib.shape_predictor(self.predictor_path)
            except RuntimeError as error:
                raise UserError(
                    f"the landmark predictor {self.predictor_path} cannot be read ({error});"
                    " get it again with `sketchprep fetch dlib-landmarks-68`"
                ) from None
            self._loaded = dlib.get_frontal_face_detector(), predictor
        return self._loaded

    def largest(self, image: np.ndarray) -> np.ndarray | None:
        """The 68 landmarks of the largest face, (x, y) in pixels, shape (68, 2); None if no face is found."""
        faces = self.faces(image)
        return self.points(image, faces[0]) if faces else None

    def load(self) -> None:
        """Open the files now rather than on first use."""
        self._models()

    def faces(self, image: np.ndarray) -> list[Box]:
        """Find upright, roughly frontal faces.

        Looks at a copy of 256 px (longest side); where that shows no face at 512 px, and then at 1024 px, but never at
        more than twice the picture's own size.  Each look finds faces from about 80 px in its copy upward; where the
        largest is as small as that, the next look follows, because equals may have been missed.  So beside a face that
        fills more than a third of the picture small ones go unseen, and the last look finds what fills 8 %.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3) or (H, W)
            RGB, or grey.

        Returns
        -------
        list of Box
            The largest first; empty if there is none.
        """
        detector, _ = self._models()
        height, width = image.shape[:2]
        boxes: list[Box] = []
        for look in _LOOKS:
            if look > max(_LOOKS[0], 2 * max(height, width)):
                break
            scale = look / max(height, width)
            boxes = _detect(detector, _scaled(image, scale), (height, width)) or boxes
            if any(box.side * scale > _SMALLEST for box in boxes):
                break
        return sorted(boxes, key=lambda box: (-box.side, box.left, box.top))

    def points(self, image: np.ndarray, box: Box) -> np.ndarray:
        """Locate the 68 landmarks of one face.

        The result is a mean over the given box and two around the one that the first answer implies: the detector's
        boxes lie on a grid of a tenth of the face, and a single answer depends on where exactly its box was.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3) or (H, W)
            RGB, or grey.
        box : Box
            From `faces`.

        Returns
        -------
        ndarray of float64, shape (68, 2)
            (x, y) in pixels of `image`; may lie outside it where the face does.
        """
        _, predictor = self._models()
        patch, scale, origin = _patch(image, box)
        corners = np.array([(box.left, box.top), (box.right, box.bottom)])
        box_in_patch = (corners + 0.5 - origin) * scale
        first = _predict(predictor, patch, box_in_patch)
        middle, side = box_around(first)
        around = [
            _predict(predictor, patch, np.stack([centre - side / 2, centre + side / 2]))
            for centre in middle + 0.5 + side * _SHIFTS
        ]
        return (np.mean([first, *around], axis=0) + 0.5) / scale - 0.5 + origin

    def frame_points(self, image: np.ndarray) -> np.ndarray:
        """Locate the landmarks of a photo in the FFHQ/CelebA-HQ frame, without looking for the face.

        Parameters
        ----------
        image : ndarray of uint8, shape (S, S, 3) or (S, S)
            The aligned photo.

        Returns
        -------
        ndarray of float64, shape (68, 2)
            (x, y) in pixels.
        """
        height, width = image.shape[:2]
        left, top, right, bottom = FRAME_BOX
        box = Box(left * width - 0.5, top * height - 0.5, right * width - 0.5, bottom * height - 0.5)
        return self.points(image, box)


def open_landmarker(*, offline: bool = False) -> Landmarker:
    """The `Landmarker` with the predictor of the weights' manifest.

    Raises
    ------
    UserError
        If the predictor is missing and cannot be fetched.
    """
    from sketchprep.core import weights

    return Landmarker(weights.path("dlib-landmarks-68", offline=offline))


def box_around(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (x, y) and side of the box that the detector gives, in the median, for a face with these 68 points."""
    mean = points.mean(axis=0)
    side = _SIDE_PER_SPREAD * float(np.linalg.norm(points - mean, axis=1).mean())
    return mean + side * np.array(_CENTRE_SHIFT), side


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    height, width = image.shape[:2]
    return resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))


def _detect(detector: Any, copy: np.ndarray, size: tuple[int, int]) -> list[Box]:
    grey = np.ascontiguousarray(_grey(copy))
    fx, fy = size[1] / grey.shape[1], size[0] / grey.shape[0]
    boxes, scores, _ = detector.run(grey, 0, 0.0)
    return [
        Box(
            b.left() * fx - 0.5,
            b.top() * fy - 0.5,
            (b.right() + 1) * fx - 0.5,
            (b.bottom() + 1) * fy - 0.5,
            float(score),
        )
        for b, score in zip(boxes, scores, strict=True)
    ]


def _patch(image: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut out the face with a margin, in grey, at a size where whole pixels are fine enough and grain is averaged."""
    height, width = image.shape[:2]
    margin = 0.8 * box.side
    x0, y0 = max(0, int(box.left - margin)), max(0, int(box.top - margin))
    x1, y1 = min(width, int(box.right + margin) + 1), min(height, int(box.bottom + margin) + 1)
    if x1 <= x0 or y1 <= y0:
        raise ValueError("the face box lies outside the picture")
    patch = _grey(image[y0:y1, x0:x1])
    scale_to = 400 / box.side if box.side > 600 else 300 / box.side if box.side < 200 else 1.0
    if scale_to != 1.0:
        patch = _scaled(patch, scale_to)
    scale = np.array([patch.shape[1] / (x1 - x0), patch.shape[0] / (y1 - y0)])
    return np.ascontiguousarray(patch), scale, np.array([x0, y0])


def _predict(predictor: Any, patch: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Run the predictor for a box given by its corners in edge coordinates of the patch."""
    import dlib

    (left, top), (right, bottom) = np.rint(corners).astype(int).tolist()
    shape = predictor(patch, dlib.rectangle(left, top, right - 1, bottom - 1))
    return np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float64)
