"""A corpus in a folder on disk: links are followed only while they stay inside, whatever names and links say."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from sketchprep.datasets.sources.tree import (
    MAX_BYTES,
    Entry,
    Listing,
    Tree,
    check_path,
    is_hidden,
    is_picture,
    printable,
)
from sketchprep.errors import SampleError, UserError
from sketchprep.io.files import read_regular

__all__ = ["FolderTree"]


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
