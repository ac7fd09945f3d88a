"""Safe listing and reading of a corpus: nothing outside its root is ever opened, whatever the names and links say."""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sketchprep.errors import SampleError, UserError
from sketchprep.io.files import MAX_BYTES, read_regular

__all__ = ["MAX_BYTES", "PICTURES", "Entry", "FolderTree", "Listing", "Refusal", "Tree"]

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


class FolderTree(Tree):
    """A folder on disk.  It may itself be a link; links inside it are followed only while they stay inside."""

    def __init__(self, root: Path) -> None:
        self.base = os.path.realpath(root)

    def _inside(self, real: str) -> bool:
        return real == self.base or real.startswith(self.base.rstrip("/") + "/")

    def _real(self, path: str) -> str:
        return os.path.realpath(os.path.join(self.base, path))

    def _unlistable(self, error: OSError) -> UserError:
        return UserError(f"--root {self.base} cannot be listed: {error.strerror or error}; check its permissions")

    def kind(self, path: str) -> str | None:
        """See `Tree.kind`."""
        full = os.path.join(self.base, path)
        if not os.path.lexists(full):
            return None
        real = os.path.realpath(full)
        if not self._inside(real):
            return "leaves"
        return "folder" if os.path.isdir(real) else "file" if os.path.exists(real) else None

    def folders(self) -> list[str]:
        """See `Tree.folders`."""
        try:
            names = os.listdir(self.base)
        except OSError as error:
            raise self._unlistable(error) from None
        return sorted(name for name in names if not is_hidden(name) and self.kind(name) == "folder")

    def read(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """See `Tree.read`."""
        check_path(path)
        real = self._real(path)
        if not self._inside(real):
            raise SampleError("leaves-root", f"{path!r} is a link that leaves the source's root: copy the file into it")
        return read_regular(real, path, limit=limit)

    def files(self, under: str = "") -> Listing:
        """See `Tree.files`.

        Real folders are walked first.  Links to folders follow in the order of their paths, each real folder once:
        whichever way the links run, the walk ends and gives the same paths on every machine.
        """
        listing = Listing()
        seen: set[str] = set()
        queue = [(under.rstrip("/"), self._real(under))]
        links: list[tuple[str, str]] = []
        while queue or links:
            if not queue:
                links.sort(reverse=True)
                queue.append(links.pop())
            path, real = queue.pop()
            if real in seen:
                listing.ignored["link to a folder listed already"] += 1
                continue
            seen.add(real)
            self._list_one(path, real, listing, queue, links)
        return listing.sort()

    def _list_one(
        self, path: str, real: str, listing: Listing, queue: list[tuple[str, str]], links: list[tuple[str, str]]
    ) -> None:
        try:
            with os.scandir(real) as entries:
                found = list(entries)
        except OSError as error:
            if real == self.base:
                raise self._unlistable(error) from None
            listing.refuse(path, "unreadable", f"the folder cannot be listed: {error.strerror or error}")
            return
        for entry in found:
            if is_hidden(entry.name):
                continue
            inner = f"{path}/{entry.name}" if path else entry.name
            if entry.is_symlink():
                self._list_link(inner, real, entry, listing, links)
            elif entry.is_dir(follow_symlinks=False):
                if _valid_name(inner, listing):
                    queue.append((inner, entry.path))
            else:
                _list_file(inner, entry, listing)

    def _list_link(
        self, path: str, parent: str, entry: os.DirEntry[str], listing: Listing, links: list[tuple[str, str]]
    ) -> None:
        target = os.path.realpath(entry.path)
        try:
            is_folder = stat.S_ISDIR(os.stat(entry.path).st_mode)
        except OSError as error:
            if error.errno == errno.ELOOP:
                listing.refuse(path, "link-loop", "the link leads back to itself")
            elif not is_picture(path):
                listing.ignore(path)
            elif self._inside(target):
                listing.refuse(path, "broken-link", "the link points to nothing")
            else:
                listing.refuse(path, "leaves-root", "the link leaves the source's root (and points to nothing)")
            return
        if not is_folder and not is_picture(path):
            listing.ignore(path)
        elif not self._inside(target):
            listing.refuse(path, "leaves-root", f"the link leaves the source's root for {printable(target)!r}")
        elif not is_folder:
            _list_file(path, entry, listing)
        elif parent == target or parent.startswith(target.rstrip("/") + "/"):
            listing.refuse(path, "link-loop", "the link leads to a folder that holds it")
        elif _valid_name(path, listing):
            links.append((path, target))


def _valid_name(path: str, listing: Listing) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        listing.refuse(path, "bad-name", "the name is not valid UTF-8: rename it")
        return False
    return True


def _list_file(path: str, entry: os.DirEntry[str], listing: Listing) -> None:
    if not is_picture(path):
        listing.ignore(path)
        return
    if not _valid_name(path, listing):
        return
    try:
        status = entry.stat()
    except OSError:
        listing.files.append(Entry(path, -1))
        return
    if stat.S_ISREG(status.st_mode):
        listing.files.append(Entry(path, status.st_size))
    else:
        listing.refuse(path, "not-a-file", "it is a pipe, a socket or a device, not a picture file")
