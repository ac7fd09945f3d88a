"""Object stores addressed by ``fsspec`` URLs: list, get, put.

Retries are the client library's (for S3 botocore's, see `_filesystem`); what they do not cure becomes one sentence,
which never holds a key or a token.  Nothing of a driver is imported for local paths.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.io.files import temporary_beside

__all__ = ["Entry", "Url", "entries", "get", "get_all", "is_url", "location", "put", "read", "remove", "write"]

PART_BYTES = 64 * 2**20
THREADS = 16
UPLOADS = 3  # of one file, until all of its bytes are there
ATTEMPTS = 8  # of one request: some two minutes of a store that is down, with the driver's own repetitions
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(text: object) -> bool:
    """Tell a URL from a path; a `Path` never is one."""
    return isinstance(text, str) and _URL.fullmatch(text) is not None


class Url(str):
    """A place in a store, ``s3://bucket/prefix``, without a slash at its end; as far as needed it behaves as a path.

    Raises
    ------
    UserError
        If it holds credentials, a query, no bucket, or names that could lead out of it.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Url:
        match = _URL.fullmatch(text)
        if match is None:
            raise UserError(f"{text}: is no URL; write it as s3://bucket/prefix")
        scheme, rest = match[1].lower(), match[2].rstrip("/")
        parts = rest.split("/")
        if "@" in parts[0] and scheme not in ("abfs", "abfss"):
            raise UserError(
                f"{scheme}://…@…: a URL must not hold credentials; set them in the environment, as the store's own "
                "tools expect them"
            )
        if any(part in ("", ".", "..") for part in parts) or re.search(r"[?#\x00-\x1f\\]", rest):
            raise UserError(f"{scheme}://{rest}: is no plain URL of the form {scheme}://bucket/prefix")
        return super().__new__(cls, f"{scheme}://{rest}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        """The prefix that it lies in."""
        return Url(self.rpartition("/")[0])

    @property
    def scheme(self) -> str:
        """The kind of store."""
        return self.partition("://")[0]

    def absolute(self) -> Url:
        """Return itself, as an absolute path would."""
        return self

    def __truediv__(self, key: str) -> Url:
        """A key below; one that could lead out is refused."""
        if key.startswith("/") or any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
            raise ValueError(f"{key!r} does not stay below {self}")
        return str.__new__(Url, f"{self}/{key}")


def location(text: str | os.PathLike[str]) -> Any:
    """A `Url` or a `Path`, whichever the text is."""
    return Url(text) if isinstance(text, str) and is_url(text) else Path(text)


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a listing: its size in bytes, and a tag that changes with its content."""

    size: int
    tag: str


def entries(url: Url) -> dict[str, Entry]:
    """List all objects below a URL: key relative to it to `Entry`."""
    with _failures(url):
        system, root = _open(url)
        listed = system.find(root, detail=True)
    prefix = root.rstrip("/") + "/"
    return {
        key.removeprefix(prefix): _entry(info)
        for key, info in listed.items()
        if key.startswith(prefix) and not key.endswith("/") and info.get("type") == "file"
    }


def entry(url: Url) -> Entry | None:
    """One object as a listing has it; None if there is none."""
    info = _info(url)
    return _entry(info) if info is not None and info["type"] == "file" else None


def kind(url: Url) -> str | None:
    """``"file"``, ``"folder"`` (a prefix of keys), or None for nothing."""
    info = _info(url)
    return None if info is None else "folder" if info["type"] == "directory" else "file"


def folders(url: Url) -> list[str]:
    """Sorted names of the prefixes directly below."""
    try:
        with _failures(url):
            system, key = _open(url)
            listed = system.ls(key, detail=True)
    except FileNotFoundError:
        return []
    return sorted(info["name"].rstrip("/").rpartition("/")[2] for info in listed if info["type"] == "directory")


def read(url: Url, start: int = 0, size: int | None = None) -> bytes:
    """Bytes of an object, or `size` of them from `start`; fewer only where it ends.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    with _failures(url):
        system, key = _open(url)
        try:
            return system.cat_file(key) if size is None else system.cat_file(key, start=start, end=start + size)
        except OSError as error:
            if size is not None and _response(error)[0] == "InvalidRange":  # the object ends before `start`
                return b""
            raise


def get(url: Url, path: Path) -> None:
    """Fetch an object into a file, whole or not at all."""
    temporary = temporary_beside(path)
    try:
        with _failures(url):
            system, key = _open(url)
            system.get_file(key, str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def get_all(url: Url, keys: list[str], folder: Path) -> None:
    """Fetch objects into a folder, several at a time."""
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda key: get(url / key, folder / key), keys))


def put(path: Path, url: Url) -> None:
    """Store a file under a key, replacing what is there, and check that all of its bytes arrived."""
    size = path.stat().st_size
    options = {"chunksize": PART_BYTES} if url.scheme in ("s3", "s3a") else {}
    for _ in range(UPLOADS):
        with _failures(url):
            system, key = _open(url)
            system.put_file(str(path), key, **options)
            stored = system.info(key)["size"]
        if stored == size:
            return
    raise UserError(f"{url}: the store kept {stored} of {size} bytes {UPLOADS} times; run the same command again")


def write(url: Url, data: bytes) -> None:
    """Store bytes under a key."""
    with _failures(url):
        system, key = _open(url)
        system.pipe_file(key, data)


def remove(url: Url) -> None:
    """Remove an object; none there is no error."""
    with contextlib.suppress(FileNotFoundError), _failures(url):
        system, key = _open(url)
        system.rm_file(key)


@lru_cache(maxsize=8)
def _filesystem(scheme: str, process: int) -> Any:
    # Keyed by the process: a forked worker must not share its parent's connections.
    try:
        import fsspec
    except ImportError:
        raise UserError(f"{scheme}://…: needs fsspec; run pip install 'sketchprep[cloud]'") from None
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme in ("s3", "s3a"):
        attempts = os.environ.get("AWS_MAX_ATTEMPTS") or str(ATTEMPTS)
        if not attempts.isdecimal() or int(attempts) < 1:
            raise UserError(f"AWS_MAX_ATTEMPTS={attempts}: must be a whole number of at least 1")
        options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": int(attempts)}}
    try:
        return fsspec.filesystem(scheme, **options)
    except ValueError:
        raise UserError(f"{scheme}://…: no such kind of store is known; use s3:// or gs://") from None
    except ImportError as error:
        raise UserError(f"{scheme}://…: its driver is not installed ({error}); install it with pip") from None


def _open(url: Url) -> tuple[Any, str]:
    """The driver of a URL, and the URL as it names it."""
    system = _filesystem(url.scheme, os.getpid())
    return system, system._strip_protocol(str(url))


def _info(url: Url) -> dict[str, Any] | None:
    try:
        with _failures(url):
            system, key = _open(url)
            return system.info(key)
    except FileNotFoundError:
        return None


def _entry(info: dict[str, Any]) -> Entry:
    tags = (info[name] for name in ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime") if name in info)
    return Entry(int(info.get("size") or 0), str(next(tags, "")).strip('"'))


@contextlib.contextmanager
def _failures(url: Url) -> Iterator[None]:
    """Turn what a driver raises into one sentence; FileNotFoundError and faults of this machine's disk pass."""
    try:
        yield
    except Exception as error:
        code, status = _response(error)
        words = " ".join(str(error.args[-1] if isinstance(error, OSError) and error.args else error).split())[:160]
        names = {cls.__name__ for cls in type(error).__mro__}
        if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
            raise FileNotFoundError(errno.ENOENT, "no such object", url) from None
        if type(error).__module__ in ("builtins", UserError.__module__) and not isinstance(error, OSError):
            raise
        if isinstance(error, OSError) and (error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)):
            raise
        if code == "NoSuchBucket":
            reason = f"there is no such bucket ({words}); check the URL"
        elif names & {"NoCredentialsError", "PartialCredentialsError"}:
            reason = (
                "no credentials were found; set them as the store's own tools expect (for s3: AWS_PROFILE, or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
            )
        elif isinstance(error, PermissionError):
            reason = f"the store refuses ({words}); check the credentials in the environment and what they may do"
        elif (400 <= status < 500 and status not in (408, 429)) or "ParamValidationError" in names:
            reason = f"the store does not take this ({words}); check the URL"
        else:
            reason = f"the store does not answer ({words}); run the same command again once it does"
        raise UserError(f"{url}: {reason}") from error


def _response(error: BaseException | None) -> tuple[str, int]:
    """The store's error code and the HTTP status in an error or its causes; empty and 0 where there are none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return str(response.get("Error", {}).get("Code", "")), int(status)
        error = error.__cause__
    return "", 0
