"""A corpus in a folder on disk: links are followed only while they stay inside, whatever names and links say."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path

from sketchprep.datasets.sources.own_output import is_own_folder
from sketchprep.datasets.sources.tree import (
    HEAD_BYTES,
    MAX_BYTES,
    Entry,
    Listing,
    Tree,
    check_path,
    is_hidden,
    is_picture,
    printable,
    takes,
)
from sketchprep.errors import SampleError, UserError
from sketchprep.io.files import read_regular

__all__ = ["FolderTree"]

REMEDY = "allow that with --follow-links, or copy the file into the root"


class FolderTree(Tree):
    """A folder on disk.  It may itself be a link; links inside it are followed only while they stay inside.

    Inside is also the folder ``blobs`` beside it or one of its next two parents: a snapshot in a hub's cache is a
    folder of links to such a one.

    Parameters
    ----------
    root : Path
    follow_links : bool
        Follow every link, wherever it leads.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self.base = os.path.realpath(root)
        self._allowed = ["/"] if follow_links else [self.base, *_hub_blobs(self.base)]
        self._left_out: set[str] = set()

    def _inside(self, real: str) -> bool:
        return any(real == folder or real.startswith(folder.rstrip("/") + "/") for folder in self._allowed)

    def _real(self, path: str) -> str:
        return os.path.realpath(os.path.join(self.base, path))

    def _unlistable(self, error: OSError) -> UserError:
        return UserError(f"--root {self.base} cannot be listed: {error.strerror or error}; check its permissions")

    def follow(self, path: str) -> None:
        """See `Tree.follow`."""
        if os.path.islink(os.path.join(self.base, path)):
            self._allowed.append(self._real(path))

    def leave_out(self, folder: Path) -> None:
        """See `Tree.leave_out`."""
        self._left_out.add(os.path.realpath(folder))

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
            raise SampleError("leaves-root", f"{path!r} is a link that leaves the source's root: {REMEDY}")
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
                listing.ignore(path, "link to a folder listed already")
                continue
            seen.add(real)
            self._list_one(path, real, listing, queue, links)
        return listing.sort()

    def _list_one(
        self, path: str, real: str, listing: Listing, queue: list[tuple[str, str]], links: list[tuple[str, str]]
    ) -> None:
        try:
            with os.scandir(real) as entries:
                found = [entry for entry in entries if not is_hidden(entry.name)]
        except OSError as error:
            if real == self.base:
                raise self._unlistable(error) from None
            listing.refuse(path, "unreadable", f"the folder cannot be listed: {error.strerror or error}")
            return
        names = {entry.name for entry in found}
        if real != self.base and self._is_output(real, names):
            listing.ignore(path, "folder that sketchprep wrote")
            return
        for entry in found:
            inner = f"{path}/{entry.name}" if path else entry.name
            if entry.is_symlink():
                self._list_link(inner, real, entry, listing, links)
            elif not entry.is_dir(follow_symlinks=False):
                _list_file(inner, entry, listing)
            elif entry.name == "blobs" and "snapshots" in names:
                listing.ignore(inner, "store of a hub's cache")
            elif _valid_name(inner, listing):
                queue.append((inner, entry.path))

    def _is_output(self, real: str, names: Collection[str]) -> bool:
        return real in self._left_out or is_own_folder(real, names)

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
        if not self._inside(target):
            if is_folder or is_picture(path):
                message = f"the link leaves the source's root for {printable(target)!r}: {REMEDY}"
                listing.refuse(path, "leaves-root", message)
            else:
                listing.ignore(path)
        elif not is_folder:
            _list_file(path, entry, listing)
        elif parent == target or parent.startswith(target.rstrip("/") + "/"):
            listing.refuse(path, "link-loop", "the link leads to a folder that holds it")
        elif _valid_name(path, listing):
            links.append((path, target))


def _hub_blobs(base: str) -> list[str]:
    """Real folders named ``blobs`` beside a folder and its next two parents."""
    beside = (str(folder / "blobs") for folder in Path(base).parents[:3])
    return [path for path in beside if os.path.isdir(path) and not os.path.islink(path)]


def _valid_name(path: str, listing: Listing) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        listing.refuse(path, "bad-name", "the name is not valid UTF-8: rename it")
        return False
    return True


def _list_file(path: str, entry: os.DirEntry[str], listing: Listing) -> None:
    if not takes(path, lambda: _head(entry.path)):
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


def _head(path: str) -> bytes:
    """First bytes of a regular file; none of what cannot be read or is no file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(handle, HEAD_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(handle)
