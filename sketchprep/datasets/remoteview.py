"""A dataset in a store, read: a copy of everything but its tars in the cache, and tars when they are needed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.io import object_store
from sketchprep.io.attempts import Gone
from sketchprep.io.object_store import Entry, Url

__all__ = ["fetch", "known", "marker_of", "pull", "tar", "url_of", "view"]

WHERE, KNOWN = Path("log") / "url", Path("log") / "store"
STOP, UNMERGED, SUMS = "log/stop", "log/unmerged", "log/merged"
PLANNED = ("recipe.yaml", "plan.parquet")
MERGED = ("failures.parquet", "README.md", "preview.jpg", SUMS, "index.parquet")
_MARKER = re.compile(r"shards/((?:train|val|test)-\d{6,9})\.parquet")
_REPORT = re.compile(r"log/(?:train|val|test)-\d{6,9}\.json")


def marker_of(key: str) -> str | None:
    """Name of the shard that a key marks as complete."""
    found = _MARKER.fullmatch(key)
    return found[1] if found else None


def url_of(folder: Path) -> Url | None:
    """The store of a scratch folder; None for every other folder."""
    try:
        return Url((folder / WHERE).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None


def fetch(url: Url, folder: Path, wanted: dict[str, Entry], managed: tuple[str, ...]) -> None:
    """Fetch what is not here as the store has it, and remove what the store has not."""
    before = known(folder)
    missing = {
        key: entry
        for key, entry in wanted.items()
        if before.get(key) != [entry.size, entry.tag] or not (folder / key).is_file()
    }
    for pattern in managed:
        for path in folder.glob(pattern):
            if path.is_file() and path != folder / KNOWN and path.relative_to(folder).as_posix() not in wanted:
                path.unlink(missing_ok=True)
    object_store.get_all(url, missing, folder)
    text = json.dumps({key: [entry.size, entry.tag] for key, entry in wanted.items()})
    (folder / KNOWN).write_text(text, encoding="utf-8")


def known(folder: Path) -> dict[str, Any]:
    """What `fetch` saw in the store: key to size and tag."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((folder / KNOWN).read_text(encoding="utf-8")))
    return {}


def copies() -> Path:
    """Where copies of what lies in stores are kept."""
    from sketchprep.core.weights import cache_folder

    return cache_folder() / "stores"


def view(folder: str | os.PathLike[str], *, index_only: bool = False) -> Path:
    """A folder that says what a dataset says: itself, or for a URL a copy in the cache without the tars.

    Only what changed is fetched.

    Raises
    ------
    UserError
        If the URL holds no dataset, or the store fails.
    """
    if not object_store.is_url(folder):
        _refuse_collapsed(Path(folder))
        return Path(folder)
    import filelock

    url = Url(str(folder))
    found = object_store.entries(url, first=True)
    if not {"recipe.yaml", "plan.parquet"} <= set(found):
        raise UserError(f"{url}: holds no dataset (recipe.yaml is missing); make one with `sketchprep build -o {url}`")
    kind = "index" if index_only else "all"
    copy = copies() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{kind}" / url.name
    (copy / "log").mkdir(parents=True, exist_ok=True)
    (copy / "shards").mkdir(exist_ok=True)
    names = {*PLANNED, "index.parquet", *(() if index_only else ("failures.parquet", SUMS, UNMERGED))}
    with filelock.FileLock(copy.with_name("lock")):
        (copy / WHERE).write_text(f"{url}\n", encoding="utf-8")
        wanted = {k: e for k, e in found.items() if k in names or (not index_only and _kept(k))}
        fetch(url, copy, wanted, ("*.parquet", "shards/*.parquet", "log/*.json", SUMS, UNMERGED))
    return copy


def _refuse_collapsed(folder: Path) -> None:
    """Refuse what was a URL before a command that knows only paths took it for one."""
    found = re.fullmatch(r"(s3a?|gs|gcs|az|abfss?):/([^/].*)", str(folder))
    if found is not None and not folder.exists():
        url = f"{found[1]}://{found[2]}"
        raise UserError(f"{url}: this command needs a local copy; make one with `sketchprep pull {url} DIR`")


def _kept(key: str) -> bool:
    return marker_of(key) is not None or _REPORT.fullmatch(key) is not None


def file(path: str | os.PathLike[str]) -> Path:
    """A file on this machine: itself, or for a URL a copy in the cache."""
    if not object_store.is_url(path):
        return Path(path)
    url = Url(str(path))
    entry = object_store.entry(url)
    if entry is None:
        raise UserError(f"{url}: there is no such object; check the URL")
    digest = hashlib.sha256(f"{url} {entry.size} {entry.tag}".encode()).hexdigest()[:16]
    copy = copies() / "files" / digest / url.name
    if not copy.is_file():
        object_store.get_all(url.parent, {url.name: entry}, copy.parent)
    return copy


@contextlib.contextmanager
def tar(folder: Path, name: str) -> Iterator[None]:
    """Have a shard's tar lie in the folder for the block, if its store has one."""
    url, path = url_of(folder), folder / "shards" / f"{name}.tar"
    if url is not None:
        with contextlib.suppress(Gone):
            object_store.get(url / f"shards/{name}.tar", path)
    try:
        yield
    finally:
        if url is not None:
            path.unlink(missing_ok=True)


def pull(folder: str, out: Path, *, progress: Callable[[int], Any] = lambda files: None) -> int:
    """Copy a dataset out of a store; the same call again goes on where it stopped.

    Parameters
    ----------
    folder : str
        The URL.
    out : Path
        A new or empty folder, or one that an earlier call filled.
    progress : callable
        Called with the number of files that are there now.

    Returns
    -------
    int
        Bytes fetched.
    """
    url = Url(folder)
    found = object_store.entries(url, first=True)
    if "index.parquet" not in found:
        raise UserError(f"{url}: holds no finished dataset (index.parquet is missing); see `sketchprep status {url}`")
    if out.exists() and any(out.iterdir()) and not (out / KNOWN).is_file():
        raise UserError(f"{out}: holds something else; choose an empty or a new folder")
    (out / "log").mkdir(parents=True, exist_ok=True)
    (out / WHERE).write_text(f"{url}\n", encoding="utf-8")  # as long as tars are missing
    markers = [key for key in found if marker_of(key)]
    keys = [key.replace(".parquet", ".tar") for key in markers] + markers
    keys += [name for name in (*PLANNED, *MERGED) if name in found]
    absent = next((key for key in keys if key not in found), None)
    if absent is not None:
        raise UserError(f"{url}: {absent} is not there; see `sketchprep verify {url}`")
    before = known(out)
    fetched = 0
    for at in range(0, len(keys), object_store.THREADS):
        wanted = {key: found[key] for key in keys[at : at + object_store.THREADS]}
        now = {key: [entry.size, entry.tag] for key, entry in wanted.items()}
        missing = {key: e for key, e in wanted.items() if before.get(key) != now[key] or not (out / key).is_file()}
        object_store.get_all(url, missing, out)
        fetched += sum(entry.size for entry in missing.values())
        before |= now
        (out / KNOWN).write_text(json.dumps(before), encoding="utf-8")
        progress(len(wanted))
    (out / WHERE).unlink()
    return fetched
