"""The interface to a corpus' files: listed without being opened, read with a bound, never outside the root."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sketchprep.errors import SampleError
from sketchprep.io.files import MAX_BYTES

__all__ = ["MAX_BYTES", "PICTURES", "Entry", "Listing", "Refusal", "Tree"]

PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture file: its POSIX path relative to the root and its size in bytes (-1 if unknown)."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something met while listing that looks like a picture, or a folder of them, and is not used."""

    path: str
    kind: str
    message: str


@dataclass(slots=True)
class Listing:
    """What lies under a folder: pictures and refusals sorted by path, and how many other files of which kind."""

    files: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def refuse(self, path: str, kind: str, message: str) -> None:
        """Add a refusal; a name that is no valid UTF-8 is written with backslash escapes."""
        self.refused.append(Refusal(printable(path), kind, message))

    def ignore(self, name: str) -> None:
        """Count a file that is no picture under its extension."""
        self.ignored[printable(PurePosixPath(name).suffix.lower()) or "no extension"] += 1

    def sort(self) -> Listing:
        """Order by path, so that the order on disk has no influence; return itself."""
        self.files.sort(key=lambda entry: entry.path)
        self.refused.sort(key=lambda refusal: (refusal.path, refusal.kind))
        return self


class Tree(ABC):
    """Files below a root, addressed by POSIX paths relative to it.  Small and picklable."""

    @abstractmethod
    def files(self, under: str = "") -> Listing:
        """List the pictures below a folder, recursively, without opening any."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Return the sorted names of the folders at the top."""

    @abstractmethod
    def kind(self, path: str) -> str | None:
        """Return ``"file"``, ``"folder"``, ``"leaves"`` for a link that leaves the root, or None for nothing."""

    @abstractmethod
    def read(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """Return a file's bytes.

        Raises
        ------
        SampleError
            Kinds ``"missing"``, ``"unreadable"``, ``"not-a-file"``, ``"leaves-root"``, ``"too-large"`` and, for a zip,
            ``"corrupt"``, ``"encrypted"`` and ``"unsupported"``.
        """


def printable(path: str) -> str:
    """Return a path as valid Unicode: bytes that are no UTF-8 become ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_picture(name: str) -> bool:
    """Tell by the extension whether a file is taken for a picture."""
    return PurePosixPath(name).suffix.lower() in PICTURES


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder name is passed over: dot files and what macOS adds to its zips."""
    return name.startswith(".") or name == "__MACOSX"


def check_path(path: str) -> None:
    """Raise SampleError if a relative path could lead out of its root by its spelling alone."""
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise SampleError("leaves-root", f"the path {printable(path)!r} does not stay inside the source's root")
