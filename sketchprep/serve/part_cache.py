"""Cache of the bank's decoded face parts, from which shadow and tray are made: memory-mapped file or LRU memory."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.models.deepfacedrawing.drawing.shadow import LARGEST_WEIGHT, lay
from sketchprep.ops.face_parts import PARTS, windows

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.manifold import Projection
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["PartCache"]

BATCH = 8
FLUSH_EVERY = 512  # pictures decoded beforehand between two flushes
LARGEST_FRAME = 256  # a larger frame shows no more in a shadow
MAX_BYTES = 2 << 30  # of all pictures; a bank that would need more gets a smaller frame
MEMORY = 384 << 20
SPARE = 256 << 20  # bytes that a new file leaves free on its disk
MAX_FILES = 4  # of other models and banks that stay in the folder, the last used ones
SUFFIX = ".parts"


class PartCache:
    """Decoded parts of a bank's faces, each decoded once.

    With a folder, pictures lie in a memory-mapped file of their own for each model and bank, and serve the next start
    and other servers.  Without one, or where no file of that size can be made, they stay in memory and the least
    recently used are dropped.  Not thread-safe: the server calls it from its drawing thread only.

    Parameters
    ----------
    synthesizer : Synthesizer
        With a bank.
    folder : Path, optional
        Of the files.
    memory : int
        Bytes of pictures kept where there is no file.

    Attributes
    ----------
    frame : int
        Height and width of the frame that the pictures are parts of: the model's, 256 px at most.
    path : Path or None
        The mapped file; None if pictures are kept in memory.
    decoded : int
        Pictures that a network has drawn so far.
    nbytes : int
        Bytes of pictures held in memory.
    full : bool
        Whether another picture would drop one.
    """

    def __init__(self, synthesizer: Synthesizer, *, folder: Path | None = None, memory: int = MEMORY) -> None:
        assert synthesizer.bank is not None
        self.synthesizer, self.memory = synthesizer, memory
        self.faces = len(synthesizer.bank.ids)
        self.frame = _frame(synthesizer.size, self.faces)
        self.sides = {part: window.width for part, window in windows(self.frame).items()}
        self.decoded, self.nbytes, self.full = 0, 0, False
        self._next = 0
        self._in_memory: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self.path: Path | None = None
        self._file: np.memmap | None = None
        if folder is not None:
            self._open(folder)

    @property
    def ready(self) -> float:
        """Share of the bank's pictures that `prepare` has passed."""
        return self._next / (len(PARTS) * self.faces)

    def has(self, part: str, row: int) -> bool:
        """Whether a picture is cached."""
        return (part, row) in self._in_memory if self._file is None else bool(self._done[PARTS.index(part), row])

    def sketches(self, part: str, rows: Iterable[int]) -> dict[int, np.ndarray]:
        """Sketches of a part of some faces, decoded on a cache miss.

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
        rows = list(dict.fromkeys(rows))
        sketches = {row: self._get(part, row) for row in rows if self.has(part, row)}
        missing = [row for row in rows if row not in sketches]
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            sketches |= dict(zip(batch, self._decode(part, batch), strict=True))
        return sketches

    def shadow(self, projection: Projection) -> np.ndarray:
        """The shadow of one drawing, as `drawing.shadow` makes it but not yet faint: uint8, shape (frame, frame)."""
        darkness = {}
        for at, part in enumerate(PARTS):
            weights = projection.weights[0, at].cpu().clamp(0, LARGEST_WEIGHT).tolist()
            pairs = [(r, w) for r, w in zip(projection.indices[0, at].tolist(), weights, strict=True) if w > 0]
            seen = self.sketches(part, [row for row, _ in pairs])
            layers = [np.float32(weight / 255) * (255 - seen[row]) for row, weight in pairs]
            darkness[part] = np.minimum(np.sum(layers, axis=0, dtype=np.float32), 1)[None]
        return lay(darkness, self.frame, faintness=1.0)[0]

    def prepare(self, count: int = BATCH) -> bool:
        """Decode the next pictures that are not cached; False when there are none, or no more can be kept."""
        while self._next < len(PARTS) * self.faces and not self.full:
            part, start = PARTS[self._next // self.faces], self._next % self.faces
            rows = range(start, min(start + count, self.faces))
            self._next += len(rows)
            missing = [row for row in rows if not self.has(part, row)]
            if missing:
                self._decode(part, missing)
                if self._next % FLUSH_EVERY < count:
                    self.flush()
                return True
        self.flush()
        return False

    def flush(self) -> None:
        """Make the pictures in the file outlive this process and a power cut."""
        if self._file is not None:
            self._file.flush()  # pictures before the flags that vouch for them
            self._flags |= self._done
            self._file.flush()

    def _open(self, folder: Path) -> None:
        """Map the file of this model and bank; without room for it, or the right to write, leave it at memory."""
        digest = _digest(self.synthesizer)
        flags = len(PARTS) * self.faces
        sizes = {part: self.faces * side * side for part, side in self.sides.items()}
        path = folder / f"{digest.hex()[:32]}-{self.frame}{SUFFIX}"
        try:
            self._file = _map(path, digest, flags + sum(sizes.values()))
        except OSError:
            return
        self.path = path
        _remove_oldest(folder)
        ends = np.cumsum([len(digest), flags, *sizes.values()])[:-1]
        _, flags_in_file, *pictures = np.split(np.asarray(self._file), ends)
        self._flags = flags_in_file.reshape(len(PARTS), self.faces).view(bool)
        self._done = self._flags.copy()
        self._pictures = {
            part: p.reshape(self.faces, s, s) for p, (part, s) in zip(pictures, self.sides.items(), strict=True)
        }

    def _get(self, part: str, row: int) -> np.ndarray:
        if self._file is not None:
            return self._pictures[part][row]
        self._in_memory.move_to_end((part, row))
        return self._in_memory[part, row]

    def _put(self, part: str, row: int, picture: np.ndarray) -> None:
        if self._file is not None:
            self._pictures[part][row] = picture
            self._done[PARTS.index(part), row] = True
            return
        self._in_memory[part, row] = picture
        self.nbytes += picture.nbytes
        while self.nbytes > self.memory:
            self.nbytes -= self._in_memory.popitem(last=False)[1].nbytes
            self.full = True

    def _decode(self, part: str, rows: list[int]) -> list[np.ndarray]:
        import cv2
        import torch

        assert self.synthesizer.bank is not None
        decoder = self.synthesizer.model.image_decoders[part]
        device = next(decoder.parameters()).device
        with torch.inference_mode():
            codes = self.synthesizer.bank.by_part[PARTS.index(part), rows].to(device)
            levels = ((decoder(codes)[:, 0].float() + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
        side = self.sides[part]
        resize = levels.shape[1] != side
        pictures = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) if resize else p.copy() for p in levels]
        self.decoded += len(rows)
        for row, picture in zip(rows, pictures, strict=True):
            self._put(part, row, picture)
        return pictures


def _frame(size: int, faces: int) -> int:
    frame = min(size, LARGEST_FRAME)
    while frame > 64 and faces * sum(window.width**2 for window in windows(frame).values()) > MAX_BYTES:
        frame -= 64
    return frame


def _digest(synthesizer: Synthesizer) -> bytes:
    """Of what the pictures are made of: the image decoders' weights and the bank's codes."""
    assert synthesizer.bank is not None
    digest = hashlib.sha256(b"part cache 1\n")
    for name, tensor in sorted(synthesizer.model.image_decoders.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy())
    digest.update(f"{tuple(synthesizer.bank.by_part.shape)}\n".encode())
    digest.update(synthesizer.bank.by_part.contiguous().numpy().data)
    return digest.digest()


def _map(path: Path, digest: bytes, length: int) -> np.memmap:
    """Map a file that begins with its digest and has so many bytes more; a cut or foreign one is replaced.

    It is replaced by an atomic rename, never truncated: another server may have it mapped.  All its blocks are
    allocated, since a write into a hole of a mapped file kills the process when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = len(digest) + length
    if not path.is_file() or path.stat().st_size != size or _head(path, len(digest)) != digest:
        if shutil.disk_usage(path.parent).free < size + SPARE:
            raise OSError(f"{path}: no room for {size >> 20} MB")
        temporary = path.with_name(f"{path.name}.{os.getpid()}{SUFFIX}")
        try:
            with temporary.open("wb") as file:
                file.write(digest)
                file.flush()
                os.posix_fallocate(file.fileno(), 0, size)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    os.utime(path)
    return np.memmap(path, np.uint8, "r+")


def _head(path: Path, length: int) -> bytes:
    with path.open("rb") as file:
        return file.read(length)


def _remove_oldest(folder: Path) -> None:
    files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[MAX_FILES:]:
        path.unlink(missing_ok=True)
