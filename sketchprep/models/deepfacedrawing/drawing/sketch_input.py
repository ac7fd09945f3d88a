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
from sketchprep.models.deepfacedrawing.drawing.ink_placement import LINE_512, ink_matrix
from sketchprep.ops import align as alignment
from sketchprep.ops.ink import INK, broaden, darkened
from sketchprep.ops.paper import to_black_on_white
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import warp
from sketchprep.sketching.sketcher import Sketcher, face_sketcher

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["KINDS", "AlignedSketch", "SketchReader", "looks_like_photo", "parse_align"]

Kind = Literal["auto", "sketch", "photo"]
KINDS = ("auto", "sketch", "photo")

SMALLEST_SIDE = 32
# Grey between ink and paper, as a share of the page: at most .07 in line drawings, at least .22 in photos.
PHOTO_SHARE = 0.2
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
        None: the whole picture is the frame, with paper added to make it square.  ``"ink"``: its ink is moved to where
        a head is.  ``"face"``: by the landmarks that dlib finds in the drawing.  Points, (x, y) in pixels of the
        picture: left eye, right eye, nose, left and right corner of the mouth, left in the picture.
    clean : bool
        Simplify drawings first, by the bundled network.
    kind : {"auto", "sketch", "photo"}
        Auto takes a picture with many greys in which a face is found for a photo.
    sketcher : Sketcher, optional
        Turns photos into sketches and cleans drawings, see `sketchprep.sketching.sketcher.face_sketcher`.
    synthesizer : Synthesizer, optional
        Of this size: its bank tells where the ink goes, whether or not it has a neck and high hair.

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
            ``"too-small"`` under 32 px; ``"blank"`` without ink; ``"no-face"`` if one is needed and none is found;
            ``"landmarks"`` if the points span no face or lie outside.
        """
        image = as_image(picture, name="picture")
        height, width = image.shape[:2]
        if min(height, width) < SMALLEST_SIDE:
            raise SampleError("too-small", f"{width}×{height} px; the shorter side must have {SMALLEST_SIDE} px")
        if self.kind == "photo" or (self.kind == "auto" and looks_like_photo(image)):
            points = self._points(image) if not isinstance(self.align, str) else None
            points = self.sketcher.landmarks(_colour(image)) if points is None else points
            if points is not None:
                sketch, matrix = self.sketcher.sketch_face(_colour(image), points, self.size)
                return AlignedSketch(sketch, "photo", matrix)
            if self.kind == "photo":
                raise SampleError("no-face", "no face was found in the photo; give its points with --align x,y,…")
            unsure = ("looks like a photo, but no face was found in it, so it is taken for a drawing",)
            return self._drawing(image, unsure)
        return self._drawing(image, ())

    def _drawing(self, image: np.ndarray, notes: tuple[str, ...]) -> AlignedSketch:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
        page = darkened(to_black_on_white(grey))
        if not (page < INK).any():
            raise SampleError("blank", "there is no ink on the page; draw a face, or raise its contrast")
        matrix = self._matrix(page)
        needed = LINE_512 * self.size / 512 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
        page = broaden(page, needed)
        if self.clean:
            page = broaden(self._cleaned(page), needed)
        if self.align is None:
            return AlignedSketch(resize(_square(page), (self.size, self.size)), "sketch", matrix, notes)
        return AlignedSketch(warp(page, matrix, self.size, border="white"), "sketch", matrix, notes)

    def _points(self, image: np.ndarray) -> np.ndarray | None:
        if self.align is None:
            return None
        points = np.asarray(self.align, np.float64)
        height, width = image.shape[:2]
        if (points < 0).any() or (points > (width - 1, height - 1)).any():
            raise SampleError("landmarks", f"the points of --align do not lie in the picture of {width}×{height} px")
        return points

    def _matrix(self, page: np.ndarray) -> np.ndarray:
        if self.align is None:
            return _square_matrix(page.shape, self.size)
        if isinstance(self.align, str) and self.align == "ink":
            return ink_matrix(page, self.size, self.synthesizer)
        if isinstance(self.align, str):
            points = self.sketcher.landmarks(page)
            if points is None:
                raise SampleError(
                    "no-face", "no face was found in the drawing; use --align ink, or name five points with --align"
                )
        else:
            points = self._points(page)
            assert points is not None
        return alignment.ffhq_matrix(points, self.size)

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


def looks_like_photo(image: np.ndarray) -> bool:
    """Tell whether a picture has more greys than a line drawing on any paper.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
    """
    step = max(1, max(image.shape[:2]) // 512)
    small = np.ascontiguousarray(image[::step, ::step])
    page = to_black_on_white(small)
    return bool(((page > 50) & (page < 230)).mean() > PHOTO_SHARE)


def _colour(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _square(page: np.ndarray) -> np.ndarray:
    height, width = page.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return cv2.copyMakeBorder(page, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT, value=255)


def _square_matrix(shape: tuple[int, ...], size: int) -> np.ndarray:
    height, width = shape[:2]
    side = max(height, width)
    scale = size / side
    shift = (scale - 1) / 2
    return np.array(
        [[scale, 0, shift + scale * ((side - width) // 2)], [0, scale, shift + scale * ((side - height) // 2)]]
    )
