"""Outputs of `crop_components`: arrays that grow row by row, pictures, and a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from sketchprep.datasets.components.layouts import Subject
from sketchprep.datasets.preview import LABEL_COLOURS
from sketchprep.io import images, shards
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.ops.face_parts import Window
from sketchprep.ops.resize import resize

__all__ = ["ArrayStream", "Sheet", "write_images"]

SHEET_ROWS, TILE = 8, 128
COLOURS = ((230, 60, 60), (60, 140, 230), (60, 180, 75), (240, 160, 30), (150, 80, 200))


class ArrayStream:
    """A ``.npy`` file of uint8 rows, written one after the other, so that memory does not grow with their number.

    The file is an ordinary one: ``np.load(path, mmap_mode="r")`` maps it.  How many rows there are is written last,
    into room that NumPy's header keeps for it; pictures that could not be used therefore leave no gap.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of one row.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape, self.rows = shape, 0
        self._file: BinaryIO = path.open("wb")
        self._header()
        self._start = self._file.tell()

    def add(self, row: np.ndarray) -> int:
        """Append a row; return its number."""
        if row.shape != self.shape or row.dtype != np.uint8:
            raise ValueError(f"a row must be uint8 of shape {self.shape}, not {row.dtype} of shape {row.shape}")
        self._file.write(np.ascontiguousarray(row).data)
        self.rows += 1
        return self.rows - 1

    def close(self) -> None:
        """Write the number of rows and close the file."""
        self._file.seek(0)
        self._header()
        if self._file.tell() != self._start:
            raise RuntimeError("NumPy's header grew with the number of rows")
        self._file.close()

    def abandon(self) -> None:
        """Close without finishing."""
        self._file.close()

    def _header(self) -> None:
        fields = {"descr": "|u1", "fortran_order": False, "shape": (self.rows, *self.shape)}
        np.lib.format.write_array_header_1_0(self._file, fields)


class Sheet:
    """The contact sheet: the first pictures with their windows drawn, and their parts."""

    def __init__(self) -> None:
        self._rows: list[list[np.ndarray]] = []
        self._captions: list[str] = []

    def add(
        self, subject: Subject, windows: Mapping[str, Window], pieces: Mapping[tuple[str, str], np.ndarray]
    ) -> None:
        """Take one picture in, if there is room for it and it has the same parts as the first."""
        captions = [f"{kind} windows" for kind in subject.images] + [f"{part} {kind}" for part, kind in pieces]
        if len(self._rows) >= SHEET_ROWS or (self._captions and captions != self._captions):
            return
        self._captions = captions
        row = [_with_windows(image, windows) for image in subject.images.values()]
        for (_, kind), image in pieces.items():
            row.append(_square(LABEL_COLOURS[image] if kind == "labels" else image))
        self._rows.append(row)

    def image(self) -> np.ndarray | None:
        """The sheet as RGB, None if nothing was taken in."""
        return contact_sheet(self._rows, self._captions, tile=TILE) if self._rows else None


def _with_windows(image: np.ndarray, windows: Mapping[str, Window]) -> np.ndarray:
    drawn = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image.copy()
    small = [w for w in windows.values() if w.width < len(image)]
    thickness = max(1, len(image) // 128)
    for window, colour in zip(small, COLOURS, strict=False):
        corner = (window.x + window.width - 1, window.y + window.height - 1)
        cv2.rectangle(drawn, (window.x, window.y), corner, colour, thickness)
    return _shrunk(drawn)


def _square(image: np.ndarray) -> np.ndarray:
    """A picture in the middle of a tile, neither stretched nor cut."""
    image = _shrunk(image)
    height, width = image.shape[:2]
    top, left = (TILE - height) // 2, (TILE - width) // 2
    tile = np.full((TILE, TILE, *image.shape[2:]), 225, np.uint8)
    tile[top : top + height, left : left + width] = image
    return tile


def _shrunk(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = TILE / max(height, width)
    return resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))


def write_images(folder: Path, ordinal: int, pieces: Mapping[tuple[str, str], Any]) -> None:
    """Write each piece to ``PART/KEY.KIND.png``; the key is the ordinal, for ids come from foreign file names."""
    for (part, kind), image in pieces.items():
        path = folder / part / f"{shards.key(ordinal)}.{kind}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode_png(image))
