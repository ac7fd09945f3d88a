"""A corpus inside its zip, read in place: nothing is extracted, and no member is decompressed without a bound."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

from sketchprep.datasets.sources.tree import MAX_BYTES, Entry, Listing, Tree, check_path, is_hidden, is_picture
from sketchprep.errors import SampleError, UserError

__all__ = ["ZipTree"]


@lru_cache(maxsize=8)
def _handle(path: str, process: int) -> zipfile.ZipFile:
    # Keyed by the process: a forked worker that shared its parent's handle would share the file position too.
    return zipfile.ZipFile(path)


@lru_cache(maxsize=8)
def _folders(path: str, process: int) -> frozenset[str]:
    parents: set[str] = set()
    for name in _handle(path, process).NameToInfo:
        parent = name.rpartition("/")[0]
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(parents)


class ZipTree(Tree):
    """A zip; its handle is opened once a process, and pickling carries only its path.

    A zip with 400,000 members (the whole of CelebAMask-HQ) takes some 3 s to open and 250 MB, in every process: for
    many workers, unpack it.

    Raises
    ------
    UserError
        If the file is not a zip or its directory is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = os.path.realpath(path)
        try:
            self._zip()
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(f"--root {path} is neither a folder nor a zip that can be read: {error}") from None

    def _zip(self) -> zipfile.ZipFile:
        return _handle(self.path, os.getpid())

    def kind(self, path: str) -> str | None:
        """See `Tree.kind`."""
        if path in self._zip().NameToInfo and not path.endswith("/"):
            return "file"
        return "folder" if path.rstrip("/") in _folders(self.path, os.getpid()) else None

    def folders(self) -> list[str]:
        """See `Tree.folders`."""
        return sorted(top for top in _folders(self.path, os.getpid()) if "/" not in top and not is_hidden(top))

    def files(self, under: str = "") -> Listing:
        """See `Tree.files`."""
        listing = Listing()
        seen: set[str] = set()
        prefix = f"{under.rstrip('/')}/" if under else ""
        for member in self._zip().infolist():
            path = member.filename
            parts = path.split("/")
            if not path.startswith(prefix) or path.endswith("/"):
                continue
            if is_picture(path) and (path.startswith("/") or "\\" in path or ".." in parts):
                listing.refuse(path, "bad-name", "the member's name is not a plain path inside the zip")
            elif any(map(is_hidden, parts)):
                continue
            elif not is_picture(path):
                listing.ignore(path)
            elif stat.S_ISLNK(member.external_attr >> 16):
                listing.refuse(path, "link", "a link inside a zip is not followed")
            elif path in seen:
                listing.refuse(path, "duplicate-name", "the zip holds several members of this name; the last is used")
            else:
                seen.add(path)
                listing.files.append(Entry(path, self._zip().NameToInfo[path].file_size))
        return listing.sort()

    def read(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """See `Tree.read`."""
        check_path(path)
        archive = self._zip()
        member = archive.NameToInfo.get(path)
        if member is None or member.is_dir():
            raise SampleError("missing", f"the zip has no member {path!r}")
        if member.file_size > limit:
            raise SampleError("too-large", f"{path!r} unpacks to {member.file_size:,} bytes; the limit is {limit:,}")
        if member.flag_bits & 0x1:
            raise SampleError("encrypted", f"{path!r} is encrypted: unpack the zip with its password first")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Only these two are decompressed in bounded steps by the standard library.
            raise SampleError("unsupported", f"{path!r} is compressed by method {member.compress_type}: unpack the zip")
        try:
            with archive.open(member) as file:
                # The reader stops at the declared size, which is within the limit, and then checks the CRC.
                return file.read(member.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise SampleError("corrupt", f"{path!r} is damaged in the zip: {error}") from None
        except OSError as error:
            raise SampleError("unreadable", f"{path!r} cannot be read: {error.strerror or error}") from None
