"""A dataset at a URL.  The store holds the truth; a scratch folder is a dataset without its tars.

What works on a local dataset works on the scratch folder, which names its store in ``log/url``.  A shard is committed
there as on a disk: the tar first, then its Parquet file.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sketchprep.datasets.remoteview import MERGED, PLANNED, STOP, SUMS, UNMERGED, WHERE, fetch, known, marker_of, url_of
from sketchprep.errors import UserError
from sketchprep.io import object_store
from sketchprep.io.attempts import Gone, once, say
from sketchprep.io.object_store import Entry, Url

if TYPE_CHECKING:
    from sketchprep.datasets.build.worker import Job

__all__ = ["at_url", "attended", "begin", "finish", "held", "kept", "publish", "stop"]

LOOK_SECONDS = 5.0
Build = TypeVar("Build", bound=Callable[..., Any])


def at_url(build: Build) -> Build:
    """Let a build with an `out` and a `scratch` have its `out` at a URL."""

    @functools.wraps(build)
    def anywhere(*args: Any, **words: Any) -> Any:
        if not object_store.is_url(words.get("out")):
            return build(*args, **words)
        url = Url(words["out"])
        keep = words.get("executor") == "slurm" or words.get("part") in ("cpu", "network")
        with held(url, words.get("scratch"), keep=keep) as folder:
            try:
                result = build(*args, **{**words, "out": folder})
            except Exception as error:
                error.args = tuple(a.replace(str(folder), url) if isinstance(a, str) else a for a in error.args)
                raise
        return replace(result, out=url)

    return cast(Build, anywhere)


@contextlib.contextmanager
def held(url: Url, scratch: str | os.PathLike[str] | None, *, keep: bool = False) -> Iterator[Path]:
    """Hold a URL alone and give the scratch folder, which agrees with the store.

    Parameters
    ----------
    url : Url
    scratch : path, optional
        Where the folder is made; default under the system's temporary folder.
    keep : bool
        Leave it: jobs work on in it.

    Raises
    ------
    UserError
        If the URL holds something else or is held by another build, or if the store fails.
    """
    from sketchprep.datasets.build.lease import lease
    from sketchprep.datasets.build.slurm import refuse_if_active

    if keep:
        kept(url, scratch)
    folder = _scratch(url, scratch)
    found = object_store.entries(url, first=True)
    strange = [key for key in found if not key.startswith(("shards/", "log/"))]
    if strange and "recipe.yaml" not in found:
        raise UserError(f"-o {url}: something else is there ({strange[0]!r}); choose an empty or a new prefix")
    with lease(url, folder / "log" / "stop"):
        try:
            refuse_if_active(folder)
            for part in ("shards", "log"):
                (folder / part).mkdir(exist_ok=True)
            (folder / WHERE).write_text(f"{url}\n", encoding="utf-8")
            _agree(url, folder)
            yield folder
        finally:
            if not keep:
                shutil.rmtree(folder.parent, ignore_errors=True)


def kept(url: Url, scratch: str | os.PathLike[str] | None) -> Path:
    """The scratch folder of a build that leaves it to jobs on other machines; UserError if no place was named."""
    if scratch is None:
        raise UserError(
            f"-o {url}: with --executor slurm or --pass, name with --scratch a folder that all machines see"
        )
    return _below(Path(scratch), url)


def _below(base: Path, url: Url) -> Path:
    """The folder for a URL: the same for the same URL and machine, and nobody else's."""
    return base.absolute() / hashlib.sha256(url.encode()).hexdigest()[:16] / url.name


def _scratch(url: Url, scratch: str | os.PathLike[str] | None) -> Path:
    """Make the scratch folder."""
    base = Path(scratch) if scratch is not None else Path(tempfile.gettempdir()) / f"sketchprep-{os.getuid()}"
    folder = _below(base, url)
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if scratch is None and base.lstat().st_uid != os.getuid():
            raise UserError(f"--scratch: {base} belongs to somebody else; name a folder of your own")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--scratch {base}: cannot be written ({error.strerror}); name another folder") from None
    return folder


def _agree(url: Url, folder: Path) -> None:
    """Make the scratch folder say what the store says; a shard whose tar is missing or cut counts as not there."""
    found = object_store.entries(url)
    wanted = {key: entry for key, entry in found.items() if key in (*PLANNED, *MERGED) or marker_of(key)}
    fetch(url, folder, wanted, ("*.parquet", "*.md", "*.jpg", "*.yaml", "shards/*", SUMS))
    for key in wanted:
        name = marker_of(key)
        fault = _tar_fault(folder / key, found.get(f"shards/{name}.tar")) if name else ""
        if fault:
            (folder / key).unlink()
            say(f"{url}: shard {name} is made again: {fault}")
    (folder / UNMERGED).unlink(missing_ok=True)
    if UNMERGED in found:
        (folder / UNMERGED).touch()


def _tar_fault(marker: Path, tar: Entry | None) -> str:
    from sketchprep.io import shards

    try:
        size = shards.read_shard_meta(marker)["tar_bytes"]
    except UserError:
        return "its Parquet file is damaged"
    if tar is None:
        return "its tar is not there"
    return "" if tar.size == size else f"its tar has {tar.size:,} of {size:,} bytes"


def begin(out: Path) -> None:
    """Before the first shard: recipe and plan go into the store, markers that were taken away go from it."""
    from sketchprep.datasets import plan
    from sketchprep.datasets.layout import complete_shards

    url = url_of(out)
    if url is None:
        return
    here = complete_shards(out)
    for key in known(out):
        if marker_of(key) and not (out / key).exists():
            object_store.remove(url / key)
    for name in PLANNED:
        object_store.put(out / name, url / name)
    object_store.remove(url / STOP)
    if (out / UNMERGED).exists() or set(plan.shard_names(out / "plan.parquet")) - set(here):
        object_store.write(url / UNMERGED, b"")


def finish(out: Path) -> None:
    """After a merge: its results go into the store."""
    url = url_of(out)
    if url is None:
        return
    for name in MERGED:
        if (out / name).is_file():
            object_store.put(out / name, url / name)
    object_store.remove(url / UNMERGED)


def publish(url: Url, tar: Path, marker: Path, name: str) -> None:
    """Commit a shard in the store: its tar, then its Parquet file; the tar here is removed."""
    object_store.put(tar, url / f"shards/{name}.tar")
    object_store.put(marker, url / f"shards/{name}.parquet")
    tar.unlink(missing_ok=True)


@contextlib.contextmanager
def attended(job: Job, name: str) -> Iterator[None]:
    """While a shard is made: look in the store for a word to stop, and leave the shard's figures there.

    On a machine that has no scratch folder yet it is made, and emptied again.
    """
    url, local = Url(job.url), job.out / "log" / f"{name}.json"
    guest = url_of(job.out) is None
    try:
        for part in ("shards", "log"):
            (job.out / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--scratch {job.out}: cannot be written ({error.strerror}); name another folder") from None
    ended, seen = threading.Event(), [b""]

    def look() -> None:
        with once(), contextlib.suppress(UserError, OSError):
            text = local.read_bytes()
            if text != seen[0]:
                object_store.write(url / f"log/{name}.json", text)
                seen[0] = text
        with once(), contextlib.suppress(UserError, OSError, Gone):
            (job.out / "log" / "stop").write_bytes(object_store.read(url / STOP, 0, 1000))

    def loop() -> None:
        while not ended.wait(LOOK_SECONDS):
            look()

    threading.Thread(target=loop, daemon=True).start()
    try:
        yield
        look()
    finally:
        ended.set()
        if guest:
            for path in (local, *(job.out / "shards").glob(f"{name}.*")):
                path.unlink(missing_ok=True)


def stop(url: Url) -> None:
    """Ask every worker of a build, wherever it runs, to stop after its photo."""
    object_store.write(url / STOP, b"cancelled\n")
