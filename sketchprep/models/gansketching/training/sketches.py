"""The sketches that a generator is to follow: a folder or one file, in any form a person has them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files, images
from sketchprep.ops.resize import resize
from sketchprep.sketching.drawing import normalize_drawing, require_ink
from sketchprep.training.visits import Visits

__all__ = ["Sketches"]

CLEAN_SIDE = 512  # at which the simplifier sees a sketch


class Sketches:
    """Sketches brought to black on white, square and one size, in an order that only depends on the seed.

    Parameters
    ----------
    where : path
        A folder, or a single file.  A folder's own files count, not those in folders below.
    size : int
        Side in pixels.  What is not square gets white margins: nothing is cut off or distorted.
    clean : bool
        Send them through the bundled simplifier first.
    seed : int

    Attributes
    ----------
    names : list of str
        File names of the sketches.
    refused : list of (str, str)
        File names and reasons of what is no sketch.

    Raises
    ------
    UserError
        If there is no sketch.
    """

    def __init__(self, where: str | os.PathLike[str], *, size: int, clean: bool = True, seed: int = 0) -> None:
        self.size, self.seed, self.clean = size, seed, clean
        self.names: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.notes: list[str] = []
        pages = []
        for path in _listed(Path(where)):
            try:
                drawing = require_ink(normalize_drawing(images.decode_drawing(files.read(path))))
            except SampleError as error:
                self.refused.append((path.name, error.message))
                continue
            left, top, right, bottom = drawing.box
            pages.append(_square(drawing.page[top:bottom, left:right]))
            self.names.append(path.name)
            self.notes += [f"{path.name}: {note}" for note in drawing.notes]
        if not pages:
            reasons = "".join(f"; {name}: {reason}" for name, reason in self.refused[:3])
            raise UserError(f"--sketches {where}: holds no sketch{reasons}; name a folder of drawings, or one drawing")
        self.originals = [resize(page, (size, size)) for page in pages]
        self._visits = Visits(len(pages), seed)
        self._planes = np.stack([resize(page, (size, size)) for page in (_cleaned(pages) if clean else pages)])

    def __len__(self) -> int:
        return len(self._planes)

    def batch(self, visits: Sequence[int]) -> np.ndarray:
        """Sketches of these visits: uint8, shape (B, 1, S, S); each epoch has every sketch once."""
        return np.stack([self._planes[self._visits.sample(visit)][None] for visit in visits])

    def fixed(self, count: int) -> np.ndarray:
        """The first sketches, or as many as there are: uint8, shape (count, 1, S, S)."""
        return self._planes[:count, None]

    def sheet(self) -> np.ndarray:
        """What was read, above what the discriminator will see: to be looked at before training."""
        rows = []
        for first in range(0, len(self), 8):
            for row in (self.originals[first : first + 8], list(self._planes[first : first + 8])):
                blank = [np.full((self.size, self.size), 255, np.uint8)] * (min(8, len(self)) - len(row))
                rows.append(np.hstack([*row, *blank]))
        return np.vstack(rows)

    def describe(self) -> dict[str, Any]:
        """What decides the sketches, as plain values."""
        return {"sketches": len(self), "sha256": hashlib.sha256(self._planes.tobytes()).hexdigest()}


def _listed(where: Path) -> list[Path]:
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise UserError(f"--sketches {where}: is not there; name a folder of drawings, or one drawing")
    return sorted(path for path in where.iterdir() if path.is_file() and not path.name.startswith("."))


def _square(page: np.ndarray) -> np.ndarray:
    """White margins around a page that is not square."""
    height, width = page.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return cv2.copyMakeBorder(page, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT, value=255)


def _cleaned(pages: list[np.ndarray]) -> list[np.ndarray]:
    from sketchprep.core import weights
    from sketchprep.nn.simplifier import load_simplifier, simplify

    net = load_simplifier(weights.path("simplifier"))
    return [simplify(net, resize(page, (CLEAN_SIDE, CLEAN_SIDE))[None])[0] for page in pages]
