"""Object storage behind `fsspec` URLs: list, read, write, remove.  Nothing here is imported for local paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.io.attempts import Gone, NoBucket, Short, attempt, patience
from sketchprep.io.urls import Url, is_url, location

__all__ = ["Entry", "Url", "entries", "get", "is_url", "location", "put", "read", "remove", "write"]

PART_BYTES = 64 * 2**20
THREADS = 16
FIRST_CONTACT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a listing: its size in bytes and what changes with its content."""

    size: int
    tag: str


@lru_cache(maxsize=8)
def _filesystem(scheme: str, process: int) -> Any:
    # Keyed by the process: a forked worker must not share its parent's connections.
    try:
        import fsspec
    except ImportError:
        raise UserError(f"{scheme}://…: needs fsspec; run pip install 'sketchprep[cloud]'") from None
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme in ("s3", "s3a"):  # waiting is `attempt`'s business
        options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": 2}}
    try:
        system = fsspec.filesystem(scheme, **options)
        if hasattr(system, "retries"):  # of its own, without a word
            system.retries = 2
        return system
    except ValueError:
        raise UserError(f"{scheme}://…: no such kind of store is known; use s3:// or gs://") from None
    except ImportError as error:
        raise UserError(f"{scheme}://…: its driver is not installed ({error}); install it with pip") from None


def _system(url: Url) -> Any:
    return _filesystem(url.scheme, os.getpid())


def _key(url: Url) -> str:
    return _system(url)._strip_protocol(str(url))


def entries(url: Url, *, first: bool = False) -> dict[str, Entry]:
    """List all objects below a URL: key relative to it to `Entry`.

    Parameters
    ----------
    first : bool
        A command's first word to the store: an address that is wrong shall not be waited for as for an outage.
    """
    root = _key(url).rstrip("/") + "/"

    def call() -> dict[str, Entry]:
        return {
            key.removeprefix(root): Entry(int(info.get("size") or 0), _tag(info))
            for key, info in _find(url, root.rstrip("/"))
            if key.startswith(root) and not key.endswith("/") and info.get("type") == "file"
        }

    return attempt(url, call, seconds=min(FIRST_CONTACT_SECONDS, patience()) if first else None)


def _find(url: Url, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    system = _system(url)
    found = system.find(root, detail=True)
    if not found and not system.exists(root.partition("/")[0]):
        raise NoBucket(f"{root.partition('/')[0]}")
    yield from found.items()


def _tag(info: dict[str, Any]) -> str:
    value = next((info[k] for k in ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime") if k in info), "")
    return str(value).strip('"')


def entry(url: Url) -> Entry | None:
    """What a listing would say of one object; None if there is none."""
    try:
        info = attempt(url, lambda: _system(url).info(_key(url)))
    except Gone:
        return None
    return Entry(int(info.get("size") or 0), _tag(info)) if info["type"] == "file" else None


def folders(url: Url) -> list[str]:
    """Names of what looks like folders directly below."""

    def call() -> list[str]:
        found = _system(url).ls(_key(url), detail=True)
        return sorted(i["name"].rstrip("/").rpartition("/")[2] for i in found if i["type"] == "directory")

    try:
        return attempt(url, call)
    except Gone:
        return []


def kind(url: Url) -> str | None:
    """``"file"``, ``"folder"`` (a prefix of keys), or None for nothing."""
    try:
        info = attempt(url, lambda: _system(url).info(_key(url)))
    except Gone:
        return None
    return "folder" if info["type"] == "directory" else "file"


def read(url: Url, start: int = 0, size: int | None = None) -> bytes:
    """Bytes of an object, or `size` of them from `start`; fewer only where it ends.

    Raises
    ------
    Gone
        If there is none.
    """

    def call() -> bytes:
        if size is None:
            return _system(url).cat_file(_key(url))
        try:
            return _system(url).cat_file(_key(url), start=start, end=start + size)
        except OSError as error:
            if "range" in str(error).lower() and not isinstance(error, FileNotFoundError):  # nothing lies there
                return b""
            raise

    return attempt(url, call)


def get(url: Url, path: Path, size: int | None = None) -> None:
    """Fetch an object into a file, whole or not at all; `size` is what a listing said of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def call() -> None:
        _system(url).get_file(_key(url), str(temporary))
        found = temporary.stat().st_size
        if size is not None and found != size:
            raise Short(f"{found} of {size} bytes came")

    try:
        attempt(url, call)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def get_all(url: Url, wanted: dict[str, Entry], folder: Path) -> None:
    """Fetch objects into a folder, several at a time."""
    for key in wanted:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda item: get(url / item[0], folder / item[0], item[1].size), wanted.items()))


def put(path: Path, url: Url) -> None:
    """Store a file under a key, replacing what is there, and look whether all of it came."""
    size = path.stat().st_size
    options = {"chunksize": PART_BYTES} if url.scheme in ("s3", "s3a") else {}

    def call() -> None:
        _system(url).put_file(str(path), _key(url), **options)
        kept = _system(url).info(_key(url))["size"]
        if kept != size:
            raise Short(f"the store kept {kept} of {size} bytes")

    attempt(url, call)


def write(url: Url, data: bytes, *, new: bool = False) -> None:
    """Store bytes under a key.

    Raises
    ------
    FileExistsError
        If `new` is set and the key is taken: of several that try at once, one succeeds.
    Unsupported
        If `new` is set and the store has no conditional writes.
    """
    options = {"mode": "create"} if new else {}
    attempt(url, lambda: _system(url).pipe_file(_key(url), data, **options))


def remove(url: Url) -> None:
    """Remove an object; none there is no error."""
    try:
        attempt(url, lambda: _system(url).rm_file(_key(url)))
    except Gone:
        return
