"""A corpus below a URL in an object store: keys are listed and read, nothing is copied."""

from __future__ import annotations

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
from sketchprep.io import object_store

__all__ = ["ObjectStoreTree"]


class ObjectStoreTree(Tree):
    """The objects below a URL.

    A store that is out of order for long ends the build in one sentence: that is no fault of a photo.

    Raises
    ------
    UserError
        If the URL names a zip, which only can be read in place on a disk.
    """

    def __init__(self, url: object_store.Url) -> None:
        if url.lower().endswith(".zip"):
            raise UserError(f"--root {url}: a zip is read from a disk only; copy it there, or unpack it in the store")
        self.url = url

    def kind(self, path: str) -> str | None:
        """See `Tree.kind`."""
        return object_store.kind(self.url / path.rstrip("/")) if _plain(path.rstrip("/")) else None

    def folders(self) -> list[str]:
        """See `Tree.folders`."""
        return [name for name in object_store.folders(self.url) if not is_hidden(name)]

    def files(self, under: str = "") -> Listing:
        """See `Tree.files`."""
        listing = Listing()
        prefix = f"{under.rstrip('/')}/" if under else ""
        found = object_store.entries(self.url / under.rstrip("/") if under else self.url)
        for key, entry in found.items():
            path = prefix + key
            if is_picture(path) and not _plain(path):
                listing.refuse(path, "bad-name", "the key is not a plain path below the root")
            elif any(map(is_hidden, path.split("/"))):
                continue
            elif _plain(path) and takes(path, lambda path=path: self._head(path)):  # type: ignore[misc]
                listing.files.append(Entry(path, entry.size))
            else:
                listing.ignore(path)
        return listing.sort()

    def _head(self, path: str) -> bytes:
        try:
            return object_store.read(self.url / path, 0, HEAD_BYTES)
        except FileNotFoundError:
            return b""

    def read(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """See `Tree.read`."""
        check_path(path)
        if not _plain(path):
            raise SampleError("leaves-root", f"the key {path!r} does not stay below the source's root")
        try:
            data = object_store.read(self.url / path, 0, limit + 1)
        except FileNotFoundError:
            raise SampleError("missing", f"{path!r} is not there") from None
        if len(data) > limit:
            raise SampleError("too-large", f"{path!r} has more than {limit:,} bytes, the limit")
        return data


def _plain(path: str) -> bool:
    return "\\" not in path and "\0" not in path and not any(part in ("", ".", "..") for part in path.split("/"))
