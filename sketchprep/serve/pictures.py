"""Where the sketches of a bank's face parts are kept once they are decoded: in a file, or in bounded memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

__all__ = ["InFile", "InMemory", "Kept", "make"]

MEMORY = 384 << 20
SPARE = 256 << 20  # bytes that a new file leaves free on its disk
FILES = 4  # of other models and banks that stay in the folder, the last used ones
SUFFIX = ".parts"


class Kept(Protocol):
    """Pictures by part and row; each is uint8, shape (s, s), s by part."""

    def get(self, part: str, row: int) -> np.ndarray | None:
        """A picture, or None."""

    def put(self, part: str, row: int, picture: np.ndarray) -> None:
        """Keep a picture, if there is room."""

    def has(self, part: str, row: int) -> bool:
        """Whether it is there."""

    def flush(self) -> None:
        """Make sure that what is kept outlives this process, where it can."""

    @property
    def full(self) -> bool:
        """Whether another picture would drop one."""


class InMemory:
    """Pictures in memory; those not seen for longest are dropped when it is full.

    Attributes
    ----------
    nbytes : int
        Bytes that they take.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory, self.nbytes, self.full = memory, 0, False
        self._kept: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, part: str, row: int) -> np.ndarray | None:
        """See `Kept`."""
        with self._lock:
            found = self._kept.get((part, row))
            if found is not None:
                self._kept.move_to_end((part, row))
            return found

    def has(self, part: str, row: int) -> bool:
        """See `Kept`."""
        return (part, row) in self._kept

    def put(self, part: str, row: int, picture: np.ndarray) -> None:
        """See `Kept`."""
        with self._lock:
            if (part, row) in self._kept:
                return
            self._kept[part, row] = picture
            self.nbytes += picture.nbytes
            while self.nbytes > self.memory:
                self.nbytes -= self._kept.popitem(last=False)[1].nbytes
                self.full = True

    def flush(self) -> None:
        """Nothing to do."""


class InFile:
    """Pictures in a file of fixed size, read one by one: the system's cache holds them, this process does not.

    First a byte for each picture, 1 where it is there, then the pictures.  The bytes are written after what they tell
    of is on the disk, so that a file that was cut short lacks pictures and has no wrong ones.

    Parameters
    ----------
    path : Path
        Made if it is not there, or not as long as it has to be.
    sides : mapping of str to int
        Height and width of a picture by part.
    faces : int

    Raises
    ------
    OSError
        If it cannot be written, or the disk has no room for it.
    """

    full = False

    def __init__(self, path: Path, sides: Mapping[str, int], faces: int) -> None:
        self.sides, self.faces = dict(sides), faces
        self._first = {part: at * faces for at, part in enumerate(sides)}
        self._starts, end = {}, len(sides) * faces
        for part, side in sides.items():
            self._starts[part] = end
            end += faces * side * side
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if os.fstat(self._file).st_size != end:
            if shutil.disk_usage(path.parent).free < end + SPARE:
                os.close(self._file)
                path.unlink()
                raise OSError(f"{path}: no room for {end >> 20} MB")
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, end)
        self._closes = os.fdopen(self._file, "r+b", buffering=0)  # when this object goes
        os.utime(path)
        self._there = np.frombuffer(bytearray(os.pread(self._file, len(sides) * faces, 0)), np.uint8)
        self._news = False

    def has(self, part: str, row: int) -> bool:
        """See `Kept`."""
        return bool(self._there[self._first[part] + row])

    def get(self, part: str, row: int) -> np.ndarray | None:
        """See `Kept`."""
        if not self.has(part, row):
            return None
        side = self.sides[part]
        data = os.pread(self._file, side * side, self._starts[part] + row * side * side)
        return np.frombuffer(data, np.uint8).reshape(side, side) if len(data) == side * side else None

    def put(self, part: str, row: int, picture: np.ndarray) -> None:
        """See `Kept`."""
        side = self.sides[part]
        with contextlib.suppress(OSError):  # a full disk costs time, not the drawing
            done = os.pwrite(self._file, picture.tobytes(), self._starts[part] + row * side * side)
            if done == side * side:
                self._there[self._first[part] + row] = 1
                self._news = True

    def flush(self) -> None:
        """See `Kept`."""
        if not self._news:
            return
        with contextlib.suppress(OSError):
            there = self._there.tobytes()
            self._news = False
            os.fdatasync(self._file)
            os.pwrite(self._file, there, 0)


def make(folder: Path | None, name: str, sides: Mapping[str, int], faces: int, *, memory: int = MEMORY) -> Kept:
    """A file of that name in the folder; in memory without one, or where it cannot be written."""
    if folder is None:
        return InMemory(memory)
    try:
        found = InFile(folder / f"{name}{SUFFIX}", sides, faces)
        _tidy(folder)
        return found
    except OSError:
        return InMemory(memory)


def _tidy(folder: Path) -> None:
    """Remove the files of models that were not served for longest."""
    files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[FILES:]:
        path.unlink(missing_ok=True)
