"""Places in object stores, told from paths by ``://``; importing this costs nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError

__all__ = ["Url", "is_url", "location"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(text: object) -> bool:
    """Tell a URL from a path; a `Path` never is one."""
    return isinstance(text, str) and _URL.fullmatch(text) is not None


class Url(str):
    """A place in a store, ``s3://bucket/prefix``, without a slash at its end; behaves as far as needed like a path.

    Raises
    ------
    UserError
        If it holds credentials, a query, no bucket, or names that could lead out of it.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Url:
        found = _URL.fullmatch(text)
        if found is None:
            raise UserError(f"{text}: is no URL; write it as s3://bucket/prefix")
        scheme, rest = found[1].lower(), found[2].rstrip("/")
        bucket = rest.partition("/")[0]
        if "@" in bucket and scheme not in ("abfs", "abfss"):
            raise UserError(
                f"{scheme}://…@…: a URL must not hold credentials; set them in the environment, as the store's own "
                "tools expect them"
            )
        parts = rest.split("/")
        if not bucket or any(part in ("", ".", "..") for part in parts) or re.search(r"[?#\x00-\x1f\\]", rest):
            raise UserError(f"{scheme}://{rest}: is no plain URL of the form {scheme}://bucket/prefix")
        return super().__new__(cls, f"{scheme}://{rest}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        """What it lies in."""
        return Url(self.rpartition("/")[0])

    @property
    def scheme(self) -> str:
        """Which kind of store."""
        return self.partition("://")[0]

    def absolute(self) -> Url:
        """Return itself, as a path would."""
        return self

    def __truediv__(self, key: str) -> Url:
        """A key below; one that could lead out is refused."""
        if key.startswith("/") or any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
            raise ValueError(f"{key!r} does not stay below {self}")
        return str.__new__(Url, f"{self}/{key}")


def location(text: str | os.PathLike[str]) -> Any:
    """A `Url` or a `Path`, whichever the text is."""
    return Url(text) if isinstance(text, str) and is_url(text) else Path(text)
