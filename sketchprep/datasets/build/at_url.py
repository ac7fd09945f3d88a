"""Building into an object store: a scratch folder here, shards committed there.

The store holds the truth; the scratch folder is its local copy without the tars.  A shard is committed in the store as
on a disk: the tar first, then its Parquet file.  The store has no lock.  Shards are byte-identical, so builds of one
request on several machines waste work and harm nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from sketchprep.datasets import remote
from sketchprep.datasets.build.slurm import refuse_if_active
from sketchprep.datasets.remote import MERGED, PLANNED, SUMS, UNMERGED, WHERE, marker_of
from sketchprep.errors import UserError
from sketchprep.io import locks, object_store, shards
from sketchprep.io.files import users_temporary_folder
from sketchprep.io.object_store import Entry, Url

__all__ = ["at_url", "kept_scratch"]

Build = TypeVar("Build", bound=Callable[..., Any])


def at_url(build: Build) -> Build:
    """Let a build with an `out` and a `scratch` have its `out` at a URL."""

    @functools.wraps(build)
    def anywhere(*args: Any, **kwargs: Any) -> Any:
        if not object_store.is_url(kwargs.get("out")):
            return build(*args, **kwargs)
        url = Url(kwargs["out"])
        keep = kwargs.get("executor") == "slurm"
        with _scratch(url, kwargs.get("scratch"), keep=keep) as folder:
            try:
                result = build(*args, **{**kwargs, "out": folder})
            except Exception as error:
                error.args = tuple(a.replace(str(folder), url) if isinstance(a, str) else a for a in error.args)
                raise
        return replace(result, out=url)

    return cast(Build, anywhere)


@contextlib.contextmanager
def _scratch(url: Url, scratch: str | os.PathLike[str] | None, *, keep: bool) -> Iterator[Path]:
    """Give the scratch folder of a URL, held by this process alone and in agreement with the store.

    Raises
    ------
    UserError
        If the URL holds something else, another build of this machine works on it, or the store fails.
    """
    from filelock import Timeout

    folder = kept_scratch(url, scratch) if keep else _below(_base(scratch), url)
    listed = object_store.entries(url)
    strange = [key for key in listed if not key.startswith(("shards/", "log/"))]
    if strange and "recipe.yaml" not in listed:
        raise UserError(f"-o {url}: something else is there ({strange[0]!r}); choose an empty or a new prefix")
    try:
        for part in ("shards", "log"):
            (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--scratch {folder}: cannot be written ({error.strerror}); name another folder") from None
    try:
        with locks.hold(folder.with_name("lock"), timeout=0):
            try:
                refuse_if_active(folder)
                (folder / WHERE).write_text(f"{url}\n", encoding="utf-8")
                _agree(url, folder, listed)
                yield folder
            finally:
                if not keep:
                    shutil.rmtree(folder.parent, ignore_errors=True)
    except Timeout:
        raise UserError(
            f"-o {url}: another build of this machine is at work there; see `sketchprep status --watch {url}`"
        ) from None


def kept_scratch(url: Url, scratch: str | os.PathLike[str] | None) -> Path:
    """The scratch folder of a build that leaves it to jobs on other machines; UserError if no place was named."""
    if scratch is None:
        raise UserError(f"-o {url}: with --executor slurm, name with --scratch a folder that all machines see")
    return _below(Path(scratch), url)


def _below(base: Path, url: Url) -> Path:
    """The folder for a URL: always the same, so that what a killed build left is used or removed."""
    return base.absolute() / hashlib.sha256(url.encode()).hexdigest()[:16] / url.name


def _base(scratch: str | os.PathLike[str] | None) -> Path:
    """Where scratch folders lie: the given place, or one of this user's own under the system's temporary folder."""
    if scratch is not None:
        return Path(scratch)
    return users_temporary_folder()


def _agree(url: Url, folder: Path, listed: dict[str, Entry]) -> None:
    """Make the scratch folder say what the store says; a shard whose tar is missing or cut counts as missing."""
    wanted = {key: entry for key, entry in listed.items() if key in (*PLANNED, *MERGED) or marker_of(key)}
    remote.sync(url, folder, wanted, ("*.parquet", "*.md", "*.jpg", "*.yaml", "shards/*", SUMS))
    for key in wanted:
        name = marker_of(key)
        fault = _tar_fault(folder / key, listed.get(f"shards/{name}.tar")) if name else ""
        if fault:
            (folder / key).unlink()
            print(f"{url}: shard {name} is made again: {fault}", file=sys.stderr, flush=True)
    (folder / UNMERGED).unlink(missing_ok=True)
    if UNMERGED in listed:
        (folder / UNMERGED).touch()


def _tar_fault(marker: Path, tar: Entry | None) -> str:
    try:
        size = shards.read_shard_meta(marker)["tar_bytes"]
    except UserError:
        return "its Parquet file is damaged"
    if tar is None:
        return "its tar is missing"
    return "" if tar.size == size else f"its tar has {tar.size:,} of {size:,} bytes"
