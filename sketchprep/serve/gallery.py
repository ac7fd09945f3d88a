"""Sketches of the bank's face parts, decoded once and kept: what shadow and tray are made of."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.ops.components import PARTS
from sketchprep.shadow import LARGEST_WEIGHT, lay

if TYPE_CHECKING:
    from sketchprep.draw import Artist
    from sketchprep.manifold import Projection

__all__ = ["Gallery"]

BATCH = 8
MEMORY = 384 << 20


class Gallery:
    """Decoded parts of a bank's faces; the least recently seen are dropped when memory is full.

    Parameters
    ----------
    artist : Artist
        With a bank.
    memory : int
        Bytes that the pictures may take.

    Attributes
    ----------
    nbytes : int
        Bytes they take.
    decoded : int
        Pictures decoded so far.
    """

    def __init__(self, artist: Artist, *, memory: int = MEMORY) -> None:
        self.artist, self.memory = artist, memory
        self.nbytes = self.decoded = 0
        self._kept: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def sketches(self, part: str, rows: Iterable[int]) -> dict[int, np.ndarray]:
        """Sketches of a part of some faces.

        Parameters
        ----------
        part : str
        rows : iterable of int
            Of the bank.

        Returns
        -------
        dict of int to ndarray of uint8, shape (s, s)
            Black on white, as large as the part's window, by row.
        """
        wanted = dict.fromkeys(rows)
        with self._lock:
            found = {row: self._kept[part, row] for row in wanted if (part, row) in self._kept}
            for row in found:
                self._kept.move_to_end((part, row))
        missing = [row for row in wanted if row not in found]
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            found |= dict(zip(some, self._decode(part, some), strict=True))
        return found

    def shadow(self, projection: Projection) -> np.ndarray:
        """The shadow of one drawing, as `sketchprep.shadow` makes it but not yet faint: uint8, shape (size, size)."""
        darkness = {}
        for at, part in enumerate(PARTS):
            rows = projection.indices[0, at].tolist()
            shares = projection.weights[0, at].cpu().clamp(0, LARGEST_WEIGHT).tolist()
            seen = self.sketches(part, [row for row, share in zip(rows, shares, strict=True) if share > 0])
            some = [np.float32(s / 255) * (255 - seen[r]) for r, s in zip(rows, shares, strict=True) if s > 0]
            darkness[part] = np.minimum(np.sum(some, axis=0, dtype=np.float32), 1)[None]
        return lay(darkness, self.artist.size, faintness=1.0)[0]

    def _decode(self, part: str, rows: list[int]) -> list[np.ndarray]:
        import torch

        assert self.artist.bank is not None
        decoder = self.artist.model.image_decoders[part]
        device = next(decoder.parameters()).device
        with torch.inference_mode():
            codes = self.artist.bank.by_part[PARTS.index(part), rows].to(device)
            pictures = (decoder(codes)[:, 0].float() + 1) * 127.5
            levels = pictures.round().clamp(0, 255).byte().cpu().numpy()
        found = [level.copy() for level in levels]
        with self._lock:
            self.decoded += len(rows)
            for row, picture in zip(rows, found, strict=True):
                if (part, row) not in self._kept:
                    self._kept[part, row] = picture
                    self.nbytes += picture.nbytes
            while self.nbytes > self.memory:
                self.nbytes -= self._kept.popitem(last=False)[1].nbytes
        return found
