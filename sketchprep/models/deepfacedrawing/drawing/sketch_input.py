"""Read any drawing or photo as a sketch aligned to the frame of a face model."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.io.pictures import Picture, as_image
from sketchprep.models.deepfacedrawing.drawing.face_search import LINE_512
from sketchprep.models.deepfacedrawing.drawing.ink_placement import ink_matrix, square_matrix
from sketchprep.ops import align as alignment
from sketchprep.ops.ink import broaden, darkened
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import warp
from sketchprep.sketching.drawing import normalize_drawing, require_ink
from sketchprep.sketching.faces_in_photo import only_face
from sketchprep.sketching.picture_kind import picture_kind
from sketchprep.sketching.sketcher import Sketcher, face_sketcher

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["KINDS", "AlignedSketch", "SketchReader", "parse_align"]

Kind = Literal["auto", "sketch", "photo"]
KINDS = ("auto", "sketch", "photo")

SMALLEST_SIDE = 32
CLEANED_SIDE = 1024


@dataclass(frozen=True)
class AlignedSketch:
    """A picture in the frame.

    Attributes
    ----------
    sketch : ndarray of uint8, shape (size, size)
        Black on white.
    kind : {"sketch", "photo"}
        What it was taken for.
    matrix : ndarray of float64, shape (2, 3)
        The picture's pixels to the frame's.
    notes : tuple of str
        What the user should know of it.
    """

    sketch: np.ndarray
    kind: str
    matrix: np.ndarray
    notes: tuple[str, ...] = ()


class SketchReader:
    """Brings pictures to the frame, one after the other.

    Parameters
    ----------
    size : int
        Height and width of the frame in pixels.
    align : {None, "ink", "face"} or ndarray, shape (5, 2)
        None: the whole sheet is the frame, with paper added to make it square.  ``"ink"``: the drawing is moved,
        turned and scaled if its features are clearly more like a face's elsewhere.  ``"face"``: by the landmarks that
        dlib finds in the drawing.  Points, (x, y) in pixels of the picture: left eye, right eye, nose, left and right
        corner of the mouth, left in the picture.
    clean : bool
        Simplify drawings first, by the bundled network.
    kind : {"auto", "sketch", "photo"}
        Auto tells them apart, see `sketchprep.sketching.picture_kind`; a shaded drawing in which a face is found counts
        as a photo.
    sketcher : Sketcher, optional
        Turns photos into sketches and cleans drawings, see `sketchprep.sketching.sketcher.face_sketcher`.
    synthesizer : Synthesizer, optional
        Of this size: its bank tells where a face lies, whatever else is drawn.

    Raises
    ------
    UserError
        For an unknown word.
    """

    def __init__(
        self,
        size: int,
        *,
        align: str | np.ndarray | None = None,
        clean: bool = False,
        kind: str = "auto",
        sketcher: Sketcher | None = None,
        synthesizer: Synthesizer | None = None,
    ) -> None:
        if kind not in KINDS:
            raise UserError(f"--input {kind}: unknown; use {', '.join(KINDS)}")
        if isinstance(align, str) and align not in ("ink", "face"):
            raise UserError(f"--align {align}: unknown; use ink, face, or five points x,y,x,y,…")
        self.size, self.align, self.clean, self.kind = size, align, clean, kind
        self.sketcher = face_sketcher() if sketcher is None else sketcher
        self.synthesizer = synthesizer

    def read(self, picture: Picture) -> AlignedSketch:
        """Bring a picture to the frame.

        Parameters
        ----------
        picture : str, Path, PIL image, ndarray or Tensor
            Drawing of any polarity on any paper, or photo; RGB, or grey.  See `sketchprep.io.pictures` for shapes and
            ranges.

        Returns
        -------
        AlignedSketch

        Raises
        ------
        UserError
            For a picture of another type, shape or range.
        SampleError
            ``"too-small"`` under 32 px; ``"blank"`` without ink; ``"no-face"`` if one is needed and none is found, or
            ``"faces"`` if there are several; ``"landmarks"`` if the points span no face or lie outside.
        """
        image = as_image(picture, name="picture", drawing=True)
        height, width = image.shape[:2]
        if min(height, width) < SMALLEST_SIDE:
            raise SampleError("too-small", f"{width}×{height} px; the shorter side must have {SMALLEST_SIDE} px")
        kind = self.kind if self.kind != "auto" else picture_kind(image)
        if kind in ("photo", "unsure"):
            photo = _colour(image)
            points = self._points(image)
            if points is None:
                points = only_face(photo, self.sketcher.landmarker, required=kind == "photo")
            if points is not None:
                sketch, matrix = self.sketcher.sketch_face(photo, points, self.size)
                return AlignedSketch(sketch, "photo", matrix)
            return self._drawing(
                image, ("might be a photo, but no face was found in it, so it is taken for a drawing",)
            )
        return self._drawing(image, ())

    def _drawing(self, image: np.ndarray, notes: tuple[str, ...]) -> AlignedSketch:
        drawing = require_ink(normalize_drawing(image))
        left, top, right, bottom = drawing.box
        page = darkened(drawing.page[top:bottom, left:right])
        points = self._points(image)
        matrix = self._matrix(page, None if points is None else points - (left, top))
        needed = LINE_512 * self.size / 512 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
        page = broaden(page, needed)
        if self.clean:
            page = broaden(self._cleaned(page), needed)
        if self.align is None:
            sketch = resize(_square(page), (self.size, self.size))
        else:
            sketch = warp(page, matrix, self.size, border="white")
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, :2] @ (left, top)])
        return AlignedSketch(sketch, "sketch", matrix, (*notes, *drawing.notes))

    def _points(self, image: np.ndarray) -> np.ndarray | None:
        """The five points of the user, in pixels of the picture."""
        if self.align is None or isinstance(self.align, str):
            return None
        points = np.asarray(self.align, np.float64)
        height, width = image.shape[:2]
        if (points < 0).any() or (points > (width - 1, height - 1)).any():
            raise SampleError("landmarks", f"the points of --align do not lie in the picture of {width}×{height} px")
        return points

    def _matrix(self, page: np.ndarray, points: np.ndarray | None) -> np.ndarray:
        if points is not None:
            return alignment.ffhq_matrix(points, self.size)
        if self.align is None:
            return square_matrix(page.shape, self.size)
        if self.align == "ink":
            return ink_matrix(page, self.size, self.synthesizer)
        found = self.sketcher.landmarks(page)
        if found is None:
            raise SampleError(
                "no-face", "no face was found in the drawing; use --align ink, or name five points with --align"
            )
        return alignment.ffhq_matrix(found, self.size)

    def _cleaned(self, page: np.ndarray) -> np.ndarray:
        """The page simplified to decided strokes, at a bounded size, and as large again as it was."""
        height, width = page.shape
        scale = min(1.0, CLEANED_SIDE / max(height, width))
        small = resize(page, (max(16, round(width * scale)), max(16, round(height * scale))))
        return resize(self.sketcher.clean_drawing(small), (width, height))


def parse_align(text: str | None) -> str | np.ndarray | None:
    """Read ``--align``: a word, or five points.

    Parameters
    ----------
    text : str or None
        ``"ink"``, ``"face"``, or ten numbers, separated by commas or spaces.

    Returns
    -------
    str, ndarray of float64 of shape (5, 2), or None

    Raises
    ------
    UserError
        For anything else, or points in another order.
    """
    if text is None or text in ("ink", "face"):
        return text
    words = [word for word in re.split(r"[,;\s]+", text.strip()) if word]
    order = "left eye, right eye, nose, left and right corner of the mouth (left in the picture)"
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise UserError(f"--align {text}: use ink, face, or five points x,y,x,y,…: {order}") from None
    if len(numbers) != 10 or not all(math.isfinite(n) for n in numbers):
        raise UserError(f"--align {text}: needs five points, ten numbers, not {len(numbers)}: {order}")
    points = np.array(numbers).reshape(5, 2)
    # As seen along the line between the eyes, so that a turned page is all right.
    across = points[1] - points[0]
    down = np.array([-across[1], across[0]])
    eyes = points[:2].mean(axis=0)
    if (points[3:].mean(axis=0) - eyes) @ down <= 0 or (points[4] - points[3]) @ across <= 0:
        raise UserError(f"--align {text}: these points are no upright face; their order is {order}")
    return points


def _colour(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _square(page: np.ndarray) -> np.ndarray:
    height, width = page.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return cv2.copyMakeBorder(page, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT, value=255)
