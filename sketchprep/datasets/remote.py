"""Datasets in an object store, read from here: a local copy without the tars, tars on demand, whole copies.

A local copy is a dataset's folder that names its store in ``log/url``; whatever reads local datasets reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.io import locks, object_store
from sketchprep.io.object_store import Entry, Url

__all__ = ["fetch", "known", "local_file", "marker_of", "pull", "request_stop", "sync", "tar", "url_of", "view"]

WHERE, KNOWN = Path("log") / "url", Path("log") / "store"
STOP, UNMERGED, SUMS = "log/stop", "log/unmerged", "log/merged"
PLANNED = ("recipe.yaml", "plan.parquet")
MERGED = ("failures.parquet", "README.md", "preview.jpg", SUMS, "index.parquet")
_MARKER = re.compile(r"shards/((?:train|val|test)-\d{6,9})\.parquet")
_REPORT = re.compile(r"log/(?:train|val|test)-\d{6,9}\.json")


def marker_of(key: str) -> str | None:
    """Name of the shard that a key marks as complete."""
    match = _MARKER.fullmatch(key)
    return match[1] if match else None


def url_of(folder: Path) -> Url | None:
    """The store that a folder is a local copy of; None for every other folder."""
    try:
        return Url((folder / WHERE).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None


def known(folder: Path) -> dict[str, Any]:
    """Key to size and tag of what was fetched into a local copy."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((folder / KNOWN).read_text(encoding="utf-8")))
    return {}


def fetch(
    url: Url, folder: Path, wanted: Mapping[str, Entry], *, progress: Callable[[int], Any] = lambda files: None
) -> int:
    """Fetch the objects that are not here as the store has them; a call that was interrupted resumes.

    Returns
    -------
    int
        Bytes fetched.
    """
    tags = {key: [entry.size, entry.tag] for key, entry in wanted.items()}
    seen = {key: tag for key, tag in known(folder).items() if key in wanted}
    keys, fetched = list(wanted), 0
    for at in range(0, len(keys), object_store.THREADS):
        batch = keys[at : at + object_store.THREADS]
        missing = [key for key in batch if seen.get(key) != tags[key] or not (folder / key).is_file()]
        object_store.get_all(url, missing, folder)
        fetched += sum(wanted[key].size for key in missing)
        seen |= {key: tags[key] for key in batch}
        if missing or batch[-1] == keys[-1]:
            (folder / KNOWN).write_text(json.dumps(seen), encoding="utf-8")
        progress(len(batch))
    return fetched


def sync(url: Url, folder: Path, wanted: Mapping[str, Entry], managed: tuple[str, ...]) -> None:
    """Make a local copy agree with the store: `fetch`, and remove files of `managed` patterns that are not wanted."""
    for pattern in managed:
        for path in folder.glob(pattern):
            if path.is_file() and path != folder / KNOWN and path.relative_to(folder).as_posix() not in wanted:
                path.unlink(missing_ok=True)
    fetch(url, folder, wanted)


def copies() -> Path:
    """Where local copies are cached."""
    from sketchprep.core.weights import cache_folder

    return cache_folder() / "stores"


def view(folder: str | os.PathLike[str], *, index_only: bool = False) -> Path:
    """A local folder that stands for a dataset: itself, or for a URL a copy in the cache without the tars.

    Only objects that changed are fetched.

    Raises
    ------
    UserError
        If the URL holds no dataset, or the store fails.
    """
    if not object_store.is_url(folder):
        _refuse_collapsed(Path(folder))
        return Path(folder)
    url = Url(str(folder))
    listed = object_store.entries(url)
    if not set(PLANNED) <= listed.keys():
        raise UserError(f"{url}: holds no dataset (recipe.yaml is missing); make one with `sketchprep build -o {url}`")
    copy = copies() / f"{_digest(url)}-{'index' if index_only else 'all'}" / url.name
    for part in ("log", "shards"):
        (copy / part).mkdir(parents=True, exist_ok=True)
    names = {*PLANNED, "index.parquet"} | (set() if index_only else {"failures.parquet", SUMS, UNMERGED})
    wanted = {
        key: entry
        for key, entry in listed.items()
        if key in names or (not index_only and (marker_of(key) or _REPORT.fullmatch(key)))
    }
    with locks.hold(copy.with_name("lock")):
        (copy / WHERE).write_text(f"{url}\n", encoding="utf-8")
        sync(url, copy, wanted, ("*.parquet", "shards/*.parquet", "log/*.json", SUMS, UNMERGED))
    return copy


def local_file(path: str | os.PathLike[str]) -> Path:
    """A file on this machine: itself, or for a URL a copy in the cache."""
    if not object_store.is_url(path):
        return Path(path)
    url = Url(str(path))
    entry = object_store.entry(url)
    if entry is None:
        raise UserError(f"{url}: there is no such object; check the URL")
    copy = copies() / "files" / _digest(f"{url} {entry.size} {entry.tag}") / url.name
    if not copy.is_file():
        object_store.get_all(url.parent, [url.name], copy.parent)
    return copy


def request_stop(url: Url) -> None:
    """Ask every worker of a build, wherever it runs, to stop after its photo."""
    object_store.write(url / STOP, b"cancelled\n")


@contextlib.contextmanager
def tar(folder: Path, name: str) -> Iterator[None]:
    """Have a shard's tar in a local copy for the block, if its store has one."""
    url, path = url_of(folder), folder / "shards" / f"{name}.tar"
    if url is None:
        yield
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            object_store.get(url / f"shards/{name}.tar", path)
        yield
    finally:
        path.unlink(missing_ok=True)


def pull(folder: str, out: Path, *, progress: Callable[[int], Any] = lambda files: None) -> int:
    """Copy a whole dataset out of a store; the same call again resumes.

    Parameters
    ----------
    folder : str
        The URL.
    out : Path
        A new or empty folder, or one that an earlier call filled.
    progress : callable
        Called with the number of files that were added or already there.

    Returns
    -------
    int
        Bytes fetched.

    Raises
    ------
    UserError
        If the URL holds no finished dataset, `out` something else, or the store fails.
    """
    url = Url(folder)
    listed = object_store.entries(url)
    if "index.parquet" not in listed:
        raise UserError(f"{url}: holds no finished dataset (index.parquet is missing); see `sketchprep status {url}`")
    if out.exists() and any(out.iterdir()) and not (out / KNOWN).is_file():
        raise UserError(f"{out}: holds something else; choose an empty or a new folder")
    markers = [key for key in listed if marker_of(key)]
    keys = [key.replace(".parquet", ".tar") for key in markers] + markers
    keys += [name for name in (*PLANNED, *MERGED) if name in listed]
    absent = next((key for key in keys if key not in listed), None)
    if absent is not None:
        raise UserError(f"{url}: {absent} is not there; see `sketchprep verify {url}`")
    (out / "log").mkdir(parents=True, exist_ok=True)
    (out / WHERE).write_text(f"{url}\n", encoding="utf-8")  # as long as tars are missing
    fetched = fetch(url, out, {key: listed[key] for key in keys}, progress=progress)
    (out / WHERE).unlink()
    return fetched


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refuse_collapsed(folder: Path) -> None:
    """Refuse a URL that became a path (``s3:/bucket``) in a command that knows only paths."""
    match = re.fullmatch(r"(s3a?|gs|gcs|az|abfss?):/([^/].*)", str(folder))
    if match is not None and not folder.exists():
        url = f"{match[1]}://{match[2]}"
        raise UserError(f"{url}: this command needs a local copy; make one with `sketchprep pull {url} DIR`")
