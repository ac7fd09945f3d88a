"""Shards on disk: tar files with WebDataset naming, Parquet rows beside them, and random access by offset."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Member", "ShardWriter", "key", "read_shard_meta", "write_parquet"]

META = b"sketchprep"
KEY_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Member:
    """Where one stored file of a pair lies: name (as in ``photo.jpg``), offset and size in its tar, sha256."""

    name: str
    offset: int
    size: int
    sha256: str


def key(ordinal: int) -> str:
    """Base name of a pair's members inside its tar."""
    return f"{ordinal:0{KEY_DIGITS}d}"


class ShardWriter:
    """Write one tar, member by member, with nothing in it that depends on the time, the user or the machine.

    Parameters
    ----------
    path : Path
        The temporary file; the caller renames it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._raw = path.open("wb")
        self._file = _Hashing(self._raw)
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def add(self, ordinal: int, files: Mapping[str, bytes]) -> list[Member]:
        """Append the files of one pair; return where they lie."""
        members = []
        for name, data in files.items():
            info = tarfile.TarInfo(f"{key(ordinal)}.{name}")
            info.size, info.mode = len(data), 0o644
            offset = self._file.position + tarfile.BLOCKSIZE
            self._tar.addfile(info, io.BytesIO(data))
            members.append(Member(name, offset, len(data), hashlib.sha256(data).hexdigest()))
        return members

    def close(self) -> tuple[int, str]:
        """Finish the tar and push it to the disk; return its size in bytes and its sha256."""
        self._tar.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        return self._file.position, self._file.hash.hexdigest()

    def abandon(self) -> None:
        """Close without finishing."""
        self._raw.close()


class _Hashing(io.RawIOBase):
    """A write-only stream that counts and hashes what passes, so that the tar is not read again."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.position = 0
        self.hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self._raw.write(data)
        self.hash.update(data)
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position

    def writable(self) -> bool:
        return True


def write_parquet(
    table: pa.Table,
    path: Path,
    meta: Mapping[str, Any] | None = None,
    before: Callable[[Path], Any] = lambda temporary: None,
) -> None:
    """Write a table so that it is either whole and on the disk, or not there.

    Parameters
    ----------
    meta : mapping, optional
        Plain values kept as JSON in the file's own metadata.
    before : callable
        Called with the finished file before it gets its name.
    """
    import pyarrow.parquet as pq

    if meta is not None:
        table = table.replace_schema_metadata({META: json.dumps(meta, sort_keys=True).encode()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
        before(temporary)


def read_shard_meta(path: Path) -> dict[str, Any]:
    """Return what a shard's Parquet file says of its tar: ``tar_bytes``, ``tar_sha256``, ``photos``, ``pairs``.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    import pyarrow.parquet as pq

    try:
        return shard_meta(pq.read_metadata(path), path)
    except (OSError, ValueError):
        raise _damaged(path) from None


def shard_meta(footer: Any, path: Path) -> dict[str, Any]:
    """Return the same from the footer of `path` that was read already."""
    try:
        meta = json.loads(footer.metadata[META])
        counts = [meta[name] for name in ("photos", "pairs", "tar_bytes")]
        sound = all(type(count) is int and 0 <= count < 2**63 for count in counts) and counts[1] <= counts[0]
    except (ValueError, LookupError, TypeError):
        sound = False
    if not sound or not isinstance(meta.get("tar_sha256"), str):
        raise _damaged(path)
    return meta


def _damaged(path: Path) -> UserError:
    return UserError(f"{path}: is damaged; delete it and run the same build command: the shard is made again")
