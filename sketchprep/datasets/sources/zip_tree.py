"""A corpus inside its zip, read in place: nothing is extracted, and no member is decompressed without a bound."""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from sketchprep.datasets.sources.tree import (
    HEAD_BYTES,
    MAX_BYTES,
    Entry,
    Listing,
    Tree,
    check_path,
    is_hidden,
    is_picture,
    takes,
)
from sketchprep.errors import SampleError, UserError

__all__ = ["ZipTree"]

# Only these two are decompressed in bounded steps by the standard library.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
METHOD_NAMES = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 99: "AES encryption"}
# What the standard library raises for damaged headers and data; NotImplementedError is zipfile's for methods, versions
# and patch data that it cannot read.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, OverflowError)
DRIVE = re.compile(r"[A-Za-z]:/")


@lru_cache(maxsize=8)
def _handle(path: str, process: int) -> zipfile.ZipFile:
    # Keyed by the process: a forked worker that shared its parent's handle would share the file position too.
    return zipfile.ZipFile(path)


@lru_cache(maxsize=8)
def _members(path: str, process: int) -> dict[str, zipfile.ZipInfo]:
    """Members by their POSIX path.  Some tools on Windows write backslashes as separators."""
    plain = _handle(path, process).NameToInfo
    foreign = {_posix(name): info for name, info in plain.items() if "\\" in name and _plain(_posix(name))}
    return {**foreign, **plain} if foreign else plain


@lru_cache(maxsize=8)
def _folders(path: str, process: int) -> frozenset[str]:
    parents: set[str] = set()
    for name in _members(path, process):
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
        except (*DAMAGE, OSError) as error:
            raise UserError(f"--root {path} is neither a folder nor a zip that can be read: {error}") from None

    def _zip(self) -> zipfile.ZipFile:
        return _handle(self.path, os.getpid())

    def _member(self, path: str) -> zipfile.ZipInfo | None:
        return _members(self.path, os.getpid()).get(path)

    def kind(self, path: str) -> str | None:
        """See `Tree.kind`."""
        if self._member(path) is not None and not path.endswith("/"):
            return "file"
        return "folder" if path.rstrip("/") in _folders(self.path, os.getpid()) else None

    def folders(self) -> list[str]:
        """See `Tree.folders`."""
        return sorted(top for top in _folders(self.path, os.getpid()) if "/" not in top and not is_hidden(top))

    def files(self, under: str = "") -> Listing:
        """See `Tree.files`."""
        listing = Listing()
        seen: set[str] = set()
        for path, member in self._below(under):
            if is_picture(path) and not _plain(path):
                listing.refuse(member.filename, "bad-name", "the member's name is not a plain path inside the zip")
            elif any(map(is_hidden, path.split("/"))):
                continue
            elif stat.S_ISLNK(member.external_attr >> 16):
                if is_picture(path):
                    listing.refuse(path, "link", "a link inside a zip is not followed")
                else:
                    listing.ignore(path)
            elif not _plain(path) or not takes(path, lambda path=path: self._head(path)):  # type: ignore[misc]
                listing.ignore(path)
            elif path in seen:
                listing.refuse(path, "duplicate-name", "the zip holds several members of this name; one is used")
            else:
                seen.add(path)
                used = self._member(path) or member
                listing.files.append(Entry(path, used.file_size))
        return listing.sort()

    def _below(self, under: str) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        """Files below a folder, by their POSIX path, in the order of the zip's directory."""
        prefix = f"{under.rstrip('/')}/" if under else ""
        for member in self._zip().infolist():
            path = _posix(member.filename)
            if path.startswith(prefix) and not path.endswith("/"):
                yield path, member

    def _head(self, path: str) -> bytes:
        try:
            return self._unpack(path, HEAD_BYTES)
        except SampleError:
            return b""

    def read(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """See `Tree.read`."""
        check_path(path)
        member = self._member(path)
        if member is not None and member.file_size > limit:
            raise SampleError("too-large", f"{path!r} unpacks to {member.file_size:,} bytes; the limit is {limit:,}")
        return self._unpack(path)

    def _unpack(self, path: str, count: int | None = None) -> bytes:
        """Return a member's bytes, or its first `count`."""
        member = self._member(path)
        if member is None or path.endswith("/"):
            raise SampleError("missing", f"the zip has no member {path!r}")
        if member.flag_bits & 0x1:
            raise SampleError("encrypted", f"{path!r} is encrypted: unpack the zip with its password first")
        if member.compress_type not in METHODS:
            method = METHOD_NAMES.get(member.compress_type, f"method {member.compress_type}")
            raise SampleError("unsupported", f"{path!r} is compressed by {method}: unpack the zip")
        try:
            with self._zip().open(member) as file:
                # The reader stops at the declared size, which is within the limit, and then checks the CRC.
                return file.read(member.file_size + 1 if count is None else count)
        except DAMAGE as error:
            raise SampleError("corrupt", f"{path!r} is damaged in the zip: {error}") from None
        except OSError as error:
            raise SampleError("unreadable", f"{path!r} cannot be read: {error.strerror or error}") from None


def _posix(name: str) -> str:
    return name.replace("\\", "/")


def _plain(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/") and not DRIVE.match(path)
