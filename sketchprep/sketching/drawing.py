"""The intake of drawings: any paper, ink and surroundings to black ink on white, with a note of what was done.

Ready-made pairs, `simplify`, `synthesize` and the page of `serve` all read drawings here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sketchprep.errors import SampleError
from sketchprep.ops.ink import INK
from sketchprep.ops.paper import ink_grey, polarity, to_black_on_white
from sketchprep.ops.sheet import fill_outside, find_sheet

__all__ = ["Drawing", "has_ink", "normalize_drawing", "require_ink"]

# What is no speck: ink of this share of the page, or in one piece of this share of the longer side.
_LEAST_INK, _LEAST_STROKE = 0.002, 0.02


@dataclass(frozen=True)
class Drawing:
    """A drawing as all of the package wants it.

    Attributes
    ----------
    page : ndarray of uint8, shape (H, W)
        Black ink on white, as large as the picture; white around the sheet.
    box : tuple of int
        Left, top, right and bottom of the sheet in pixels, the last two beyond it; the whole picture where nothing lies
        around the sheet.
    notes : tuple of str
        What was done.
    """

    page: np.ndarray
    box: tuple[int, int, int, int]
    notes: tuple[str, ...] = ()

    @property
    def blank(self) -> bool:
        """Whether there is no ink on it."""
        return not has_ink(self.page)


def normalize_drawing(image: np.ndarray) -> Drawing:
    """Bring a drawing to black ink on white.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB or grey; files are best decoded by `sketchprep.io.images.decode_drawing`, which sees light ink on a
        transparent page.

    Returns
    -------
    Drawing
        A drawing that is black on white already is returned unchanged and without notes.

    Raises
    ------
    ValueError
        For another shape or type.
    """
    height, width = image.shape[:2]
    notes, box = [], (0, 0, width, height)
    sheet = find_sheet(image)
    if sheet is not None:
        mask, box = sheet
        image = fill_outside(image, mask)
        notes.append("sheet cut out of its surroundings")
    grey = ink_grey(image)
    if image.ndim == 3 and not np.array_equal(grey, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)):
        notes.append("ink told from the paper by its colour")
    if polarity(grey) == "light-on-dark":
        notes.append("light ink on darker paper turned to black on white")
    page = to_black_on_white(grey)
    if sheet is not None:
        page[~mask] = 255
    return Drawing(page, box, tuple(notes))


def has_ink(page: np.ndarray) -> bool:
    """Whether a page has more on it than specks and grain.

    Parameters
    ----------
    page : ndarray of uint8, shape (H, W)
        Black on white.
    """
    ink = (page < INK).view(np.uint8)
    if ink.mean() >= _LEAST_INK:
        return True
    stats = cv2.connectedComponentsWithStats(ink, connectivity=8)[2][1:]
    extent = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return bool(extent.size and extent.max() >= _LEAST_STROKE * max(page.shape))


def require_ink(drawing: Drawing) -> Drawing:
    """The drawing itself.

    Raises
    ------
    SampleError
        ``"blank"`` if there is no ink on it.
    """
    if drawing.blank:
        raise SampleError("blank", "there is no ink on the page; draw a face, or raise its contrast")
    return drawing
