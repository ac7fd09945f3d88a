"""Sketches of the bank's face parts, decoded once and kept: what shadow and tray are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.models.deepfacedrawing.drawing.shadow import LARGEST_WEIGHT, lay
from sketchprep.ops.face_parts import PARTS, windows
from sketchprep.serve import pictures

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.manifold import Projection
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["PartCache"]

BATCH = 8
OFTEN = 512  # pictures after which what has been prepared is made sure of
LARGEST = 256  # the frame for which pictures are kept; larger ones show no more in a shadow
MOST_BYTES = 2 << 30  # of all pictures; smaller for a bank that would need more


class PartCache:
    """Decoded parts of a bank's faces.

    Parameters
    ----------
    synthesizer : Synthesizer
        With a bank.
    folder : Path, optional
        Where the pictures are kept from one start to the next, in a file of their own for each model and bank; without
        it, or where it cannot be written, they are kept in memory as far as that goes.
    memory : int
        Bytes that they may take there.

    Attributes
    ----------
    frame : int
        Height and width of the frame that the pictures are parts of: the model's, 256 px at most.
    decoded : int
        Pictures that a network has drawn so far.
    """

    def __init__(self, synthesizer: Synthesizer, *, folder: Path | None = None, memory: int = pictures.MEMORY) -> None:
        assert synthesizer.bank is not None
        self.synthesizer, self.decoded = synthesizer, 0
        self.faces = len(synthesizer.bank.ids)
        self.frame = _frame(synthesizer.size, self.faces)
        self.sides = {part: window.width for part, window in windows(self.frame).items()}
        name = "" if folder is None else f"{_digest(synthesizer)[:32]}-{self.frame}"
        self.kept = pictures.make(folder, name, self.sides, self.faces, memory=memory)
        self._next = 0

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
            Black on white, as large as the part's window in the frame, by row.
        """
        found: dict[int, np.ndarray] = {}
        missing = []
        for row in dict.fromkeys(rows):
            picture = self.kept.get(part, row)
            if picture is None:
                missing.append(row)
            else:
                found[row] = picture
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            found |= dict(zip(some, self._decode(part, some), strict=True))
        return found

    def shadow(self, projection: Projection) -> np.ndarray:
        """The shadow of one drawing, as `drawing.shadow` makes it but not yet faint: uint8, shape (frame, frame)."""
        darkness = {}
        for at, part in enumerate(PARTS):
            rows = projection.indices[0, at].tolist()
            shares = projection.weights[0, at].cpu().clamp(0, LARGEST_WEIGHT).tolist()
            seen = self.sketches(part, [row for row, share in zip(rows, shares, strict=True) if share > 0])
            some = [np.float32(s / 255) * (255 - seen[r]) for r, s in zip(rows, shares, strict=True) if s > 0]
            darkness[part] = np.minimum(np.sum(some, axis=0, dtype=np.float32), 1)[None]
        return lay(darkness, self.frame, faintness=1.0)[0]

    @property
    def ready(self) -> float:
        """Share of the bank's pictures that have been prepared."""
        return self._next / (len(PARTS) * self.faces)

    def prepare(self, count: int = BATCH) -> bool:
        """Decode the next pictures that are not there; False when there are none, or no more can be kept."""
        total = len(PARTS) * self.faces
        while self._next < total and not self.kept.full:
            part = PARTS[self._next // self.faces]
            start = self._next % self.faces
            rows = range(start, min(start + count, self.faces))
            self._next += len(rows)
            missing = [row for row in rows if not self.kept.has(part, row)]
            if missing:
                self._decode(part, missing)
                if self._next % OFTEN < count:
                    self.kept.flush()
                return True
        self.kept.flush()
        return False

    def _decode(self, part: str, rows: list[int]) -> list[np.ndarray]:
        import cv2
        import torch

        assert self.synthesizer.bank is not None
        decoder = self.synthesizer.model.image_decoders[part]
        device = next(decoder.parameters()).device
        with torch.inference_mode():
            codes = self.synthesizer.bank.by_part[PARTS.index(part), rows].to(device)
            drawn = (decoder(codes)[:, 0].float() + 1) * 127.5
            levels = drawn.round().clamp(0, 255).byte().cpu().numpy()
        side = self.sides[part]
        small = levels.shape[1] != side
        found = [cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) if small else one.copy() for one in levels]
        self.decoded += len(rows)
        for row, picture in zip(rows, found, strict=True):
            self.kept.put(part, row, picture)
        return found


def _frame(size: int, faces: int) -> int:
    frame = min(size, LARGEST)
    while frame > 64 and faces * sum(window.width**2 for window in windows(frame).values()) > MOST_BYTES:
        frame -= 64
    return frame


def _digest(synthesizer: Synthesizer) -> str:
    """Of what the pictures are made of: the image decoders' weights and the bank's codes."""
    assert synthesizer.bank is not None
    digest = hashlib.sha256(b"pictures 1\n")
    for name, tensor in sorted(synthesizer.model.image_decoders.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy())
    digest.update(f"{tuple(synthesizer.bank.by_part.shape)}\n".encode())
    digest.update(synthesizer.bank.by_part.contiguous().numpy().data)
    return digest.hexdigest()
