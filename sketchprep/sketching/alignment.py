"""One photo brought into a frame: the face found, its landmarks fitted, the photo resampled."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from sketchprep.errors import SampleError, UserError
from sketchprep.io.pictures import Picture, as_image
from sketchprep.ops.align import Aligned, Template
from sketchprep.ops.align import align as align_by_landmarks

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.sketching.landmarks import Landmarker
    from sketchprep.sketching.mediapipe import MediaPipeLandmarker

__all__ = ["align"]

TEMPLATES = ("ffhq", "apdrawing", "none")
PREDICTORS = ("dlib", "mediapipe")


def align(
    photo: Picture,
    *,
    template: Template = "ffhq",
    size: int = 512,
    landmarks: np.ndarray | None = None,
    predictor: Literal["dlib", "mediapipe"] = "dlib",
    offline: bool = False,
) -> Aligned:
    """Bring a photo into a frame by its largest face, as a build does.

    Parameters
    ----------
    photo : str, Path, PIL image, ndarray or Tensor
        RGB; see `sketchprep.io.pictures` for shapes and ranges.
    template : {"ffhq", "apdrawing", "none"}
        The alignment of FFHQ and CelebA-HQ (Karras et al. 2018), that of APDrawing (Yi et al. 2019), or the largest
        centred square.
    size : int
        Side of the frame in pixels.
    landmarks : ndarray, shape (68, 2), optional
        (x, y) in pixels.  Default: those of the largest face.
    predictor : {"dlib", "mediapipe"}
        What finds them.
    offline : bool
        Never fetch missing weights.

    Returns
    -------
    Aligned
        ``image`` of shape (size, size, 3), the ``matrix`` from photo to frame pixels, and the ``scale``.

    Raises
    ------
    UserError
        For an unknown template or predictor, a picture of another type, shape or range, or missing weights.
    SampleError
        ``"no-face"`` if there is none, ``"landmarks"`` if the points span no face.
    """
    if template not in TEMPLATES:
        raise UserError(f"template {template!r}: unknown; known: {', '.join(TEMPLATES)}")
    if predictor not in PREDICTORS:
        raise UserError(f"predictor {predictor!r}: unknown; known: {', '.join(PREDICTORS)}")
    image = as_image(photo, name="photo")
    if landmarks is None and template != "none":
        landmarks = _landmarker(predictor, offline).largest(image)
        if landmarks is None:
            raise SampleError("no-face", "no face was found", rejected=True)
    return align_by_landmarks(image, landmarks, template=template, size=size)


@cache
def _landmarker(predictor: str, offline: bool) -> Landmarker | MediaPipeLandmarker:
    from sketchprep.sketching.landmarks import open_landmarker
    from sketchprep.sketching.mediapipe import open_mediapipe

    return (open_mediapipe if predictor == "mediapipe" else open_landmarker)(offline=offline)
