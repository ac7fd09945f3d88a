"""The interface to a corpus' files: listed without being opened, read with a bound, never outside the root."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sketchprep.datasets.left_out import LeftOut
from sketchprep.errors import SampleError
from sketchprep.io.files import MAX_BYTES

__all__ = ["HEAD_BYTES", "MAX_BYTES", "PICTURES", "Entry", "Listing", "Refusal", "Tree"]

# Names that are pictures without a look inside.
PICTURES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
        *(".gif", ".avif", ".heic", ".heif", ".hif", ".ppm", ".pgm", ".pbm", ".pnm"),
    )
)
# Names that are none: text, tables, code, archives, films, and raw files of cameras, which look like TIFF inside.
# Anything else, with a foreign extension or none, is taken if its first bytes are a picture's.
OTHERS = frozenset(
    (
        *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg"),
        *(
            ".html",
            ".htm",
            ".css",
            ".js",
            ".py",
            ".ipynb",
            ".sh",
            ".m",
            ".log",
            ".pdf",
            ".doc",
            ".docx",
            ".xls",
            ".xlsx",
        ),
        *(".npy", ".npz", ".mat", ".pts", ".h5", ".hdf5", ".pkl", ".pt", ".pth", ".safetensors", ".onnx", ".parquet"),
        *(
            ".arrow",
            ".db",
            ".sqlite",
            ".lmdb",
            ".mdb",
            ".tfrecord",
            ".zip",
            ".tar",
            ".gz",
            ".tgz",
            ".bz2",
            ".xz",
            ".zst",
        ),
        *(".7z", ".rar", ".mp4", ".mov", ".avi", ".mkv", ".webm", ".mp3", ".wav", ".svg", ".psd", ".xmp", ".aae"),
        *(".dng", ".nef", ".cr2", ".cr3", ".arw", ".nrw", ".pef", ".srw", ".orf", ".rw2", ".raf"),
    )
)
HEAD_BYTES = 64
_READ = frozenset(("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIC"))
_EXTENSION = re.compile(r"\.\w{1,12}")
_PPM = re.compile(rb"P[1-6]\s+[\d#]")


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
    """What lies under a folder: pictures and refusals sorted by path, and the other files by kind."""

    files: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ignored: LeftOut = field(default_factory=LeftOut)

    def refuse(self, path: str, kind: str, message: str) -> None:
        """Add a refusal; a name that is no valid UTF-8 is written with backslash escapes."""
        self.refused.append(Refusal(printable(path), kind, message))

    def ignore(self, path: str, reason: str = "") -> None:
        """Count a file that is no picture, by default under its extension."""
        self.ignored.add(reason or _kind_of(path), printable(path))

    def use(self, path: str) -> None:
        """Take back that a file is ignored: it is no picture, but the source reads it."""
        self.ignored.take_back(_kind_of(path), printable(path))

    def sort(self) -> Listing:
        """Order by path, so that the order on disk has no influence; return itself."""
        self.files.sort(key=lambda entry: entry.path)
        self.refused.sort(key=lambda refusal: (refusal.path, refusal.kind))
        return self


def _kind_of(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    return "no extension" if not suffix else suffix if _EXTENSION.fullmatch(suffix) else "odd extension"


class Tree(ABC):
    """Files below a root, addressed by POSIX paths relative to it.  Small and picklable."""

    @abstractmethod
    def files(self, under: str = "") -> Listing:
        """List the pictures below a folder, recursively; only files whose name does not tell are opened."""

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

    def follow(self, path: str) -> None:  # noqa: B027 - most trees have no links
        """Take a link at `path` for what it leads to, wherever that lies.  Only folders on a disk have links."""

    def leave_out(self, folder: Path) -> None:  # noqa: B027 - most lie on no disk of this machine
        """Pass over a folder on this machine's disk, should it lie in the tree."""


def printable(path: str) -> str:
    """Return a path as valid Unicode: bytes that are no UTF-8 become ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_picture(name: str) -> bool:
    """Tell by the extension whether a file is taken for a picture."""
    return PurePosixPath(name).suffix.lower() in PICTURES


def takes(name: str, head: Callable[[], bytes]) -> bool:
    """Tell by the name, or else by the first `HEAD_BYTES`, whether a file is a picture that can be read."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in PICTURES or suffix in OTHERS:
        return suffix in PICTURES
    from sketchprep.io.probe import sniff

    start = head()
    return sniff(start) in _READ or bool(_PPM.match(start))


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder name is passed over: dot files and what macOS adds to its zips."""
    return name.startswith(".") or name == "__MACOSX"


def check_path(path: str) -> None:
    """Raise SampleError if a relative path could lead out of its root by its spelling alone."""
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise SampleError("leaves-root", f"the path {printable(path)!r} does not stay inside the source's root")
