"""Captioned grids of pictures for people, written as JPEG or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.io.files import atomic
from sketchprep.io.marks import mark
from sketchprep.ops.resize import resize

__all__ = ["TILE", "contact_sheet", "save_picture"]

TILE, GAP, CAPTION = 256, 6, 24


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str], *, tile: int = TILE) -> np.ndarray:
    """Lay out pictures in a captioned grid on white.

    Parameters
    ----------
    rows : sequence of rows of uint8 ndarrays, (H, W) or (H, W, 3)
        All rows have as many pictures as there are captions.
    captions : sequence of str
        Heads of the columns.
    tile : int
        Side of a picture on the sheet in pixels.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB.
    """
    height = CAPTION + len(rows) * (tile + GAP) + GAP
    sheet = np.full((height, len(captions) * (tile + GAP) + GAP, 3), 255, np.uint8)
    for column, caption in enumerate(captions):
        at = (GAP + column * (tile + GAP), CAPTION - 7)
        cv2.putText(sheet, caption, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
    for line, row in enumerate(rows):
        for column, image in enumerate(row):
            y, x = CAPTION + GAP + line * (tile + GAP), GAP + column * (tile + GAP)
            small = resize(image, (tile, tile)) if image.shape[:2] != (tile, tile) else image
            sheet[y : y + tile, x : x + tile] = small if small.ndim == 3 else small[..., None]
    return sheet


def save_picture(image: np.ndarray, path: Path, *, option: str = "-o") -> None:
    """Write a contact sheet as JPEG or PNG, by the ending of its name; `option` is what an error calls it by.

    It bears the mark of `sketchprep.io.marks`: a build that meets it does not take it for a photo.
    """
    data = images.encode_png(image, level=6) if path.suffix.lower() == ".png" else images.encode_jpeg(image)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(mark(data))
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written ({error.strerror})") from None
