"""Photo and drawing of a ready-made pair: told apart, the drawing as black ink on white at the photo's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchprep.errors import SampleError

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.sketching.drawing import Drawing

__all__ = ["are_swapped", "cut_halves", "fit_sketch"]

_ASPECT_TOLERANCE = 0.01


def cut_halves(picture: np.ndarray, photo: str | None) -> tuple[np.ndarray, np.ndarray, bool]:
    """Cut a side-by-side picture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, 2 W, 3)
    photo : {"left", "right"}, optional
        Where the photo is; by default the halves are told apart by colours and greys.

    Returns
    -------
    photo, sketch : ndarray of uint8, shape (H, W, 3)
    right : bool
        Whether the photo is on the right.

    Raises
    ------
    SampleError
        ``"size-mismatch"`` for an odd width; ``"swapped"`` if the photo is clearly on the other side than `photo` says;
        ``"ambiguous"`` if the halves are too much alike.
    """
    from sketchprep.sketching.picture_kind import photo_comes_first

    width = picture.shape[1]
    if width % 2:
        raise SampleError("size-mismatch", f"{width} px wide: two pictures side by side need an even width")
    left, right = picture[:, : width // 2].copy(), picture[:, width // 2 :].copy()
    if photo is not None:
        first, second = (left, right) if photo == "left" else (right, left)
        if are_swapped(first, second):
            raise SampleError("swapped", f"the {photo} half is the drawing; leave option photo away, or name the other")
        return first, second, photo == "right"
    photo_is_left = photo_comes_first(left, right)
    if photo_is_left is None:
        raise SampleError("ambiguous", "neither half is clearly the photo; say which with option photo: left or right")
    return (left, right, False) if photo_is_left else (right, left, True)


def are_swapped(photo: np.ndarray, sketch: np.ndarray) -> bool:
    """Whether what is called the sketch is clearly a photo, and the other a drawing."""
    from sketchprep.sketching.picture_kind import picture_kind

    return picture_kind(sketch) == "photo" and picture_kind(photo) == "drawing"


def fit_sketch(sketch: np.ndarray, photo: np.ndarray) -> Drawing:
    """Normalise a sketch and bring it to its photo's size.

    Raises
    ------
    SampleError
        ``"size-mismatch"`` if the two differ in shape by more than 1 %; ``"blank"`` without ink.
    """
    from dataclasses import replace

    from sketchprep.ops.resize import resize
    from sketchprep.sketching.drawing import normalize_drawing, require_ink

    (h, w), (height, width) = sketch.shape[:2], photo.shape[:2]
    if abs(w * height / (h * width) - 1) > _ASPECT_TOLERANCE:
        raise SampleError(
            "size-mismatch", f"the sketch is {w}×{h} and the photo {width}×{height}: shapes may differ by 1 %"
        )
    drawing = require_ink(normalize_drawing(sketch))
    return drawing if (h, w) == (height, width) else replace(drawing, page=resize(drawing.page, (width, height)))
