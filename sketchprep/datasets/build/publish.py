"""What a build puts into an object store: recipe and plan first, shards as they are made, what was merged last."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from sketchprep.datasets import plan, remote
from sketchprep.datasets.layout import complete_shards
from sketchprep.datasets.remote import MERGED, PLANNED, STOP, UNMERGED, marker_of, url_of
from sketchprep.errors import UserError
from sketchprep.io import object_store
from sketchprep.io.object_store import Url

__all__ = ["attended", "begin", "finish", "publish", "refuse_other_recipe"]

POLL_SECONDS = 5.0


def begin(out: Path) -> None:
    """Before the first shard: put recipe and plan into the store, and remove markers that were removed here."""
    url = url_of(out)
    if url is None:
        return
    for key in remote.known(out):
        if marker_of(key) and not (out / key).exists():
            object_store.remove(url / key)
    for name in PLANNED:
        object_store.put(out / name, url / name)
    object_store.remove(url / STOP)
    if (out / UNMERGED).exists() or set(plan.shard_names(out / "plan.parquet")) - set(complete_shards(out)):
        object_store.write(url / UNMERGED, b"")


def refuse_other_recipe(url: Url, digest: str) -> None:
    """Raise UserError if the ``recipe.yaml`` in the store is not the one with this hash.

    A store has no lock: of two builds with different recipes that begin at the same moment the last to write its recipe
    continues, and the other must not mix its shards with those.
    """
    if digest.encode() not in object_store.read(url / "recipe.yaml"):
        raise UserError(f"-o {url}: a build with another recipe began there at the same time; choose a new prefix")


def publish(url: Url, tar: Path, marker: Path, name: str) -> None:
    """Commit a shard in the store: its tar, then its Parquet file; the tar here is removed."""
    object_store.put(tar, url / f"shards/{name}.tar")
    object_store.put(marker, url / f"shards/{name}.parquet")
    tar.unlink(missing_ok=True)


def finish(out: Path) -> None:
    """After a merge: put its results into the store."""
    url = url_of(out)
    if url is None:
        return
    for name in MERGED:
        if (out / name).is_file():
            object_store.put(out / name, url / name)
    object_store.remove(url / UNMERGED)


@contextlib.contextmanager
def attended(url: Url, out: Path, name: str) -> Iterator[None]:
    """While a shard is made: pass on a request to stop, and put the shard's figures into the store.

    A machine that sees no scratch folder gets one for the block.
    """
    guest = url_of(out) is None
    report = out / "log" / f"{name}.json"
    try:
        for part in ("shards", "log"):
            (out / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--scratch {out}: cannot be written ({error.strerror}); name another folder") from None
    ended, seen = threading.Event(), [b""]

    def poll() -> None:
        with contextlib.suppress(UserError, OSError):
            text = report.read_bytes()
            if text != seen[0]:
                object_store.write(url / f"log/{name}.json", text)
                seen[0] = text
        with contextlib.suppress(UserError, OSError):
            if not (out / "log" / "stop").exists():
                (out / "log" / "stop").write_bytes(object_store.read(url / STOP, 0, 1000))

    def loop() -> None:
        while not ended.wait(POLL_SECONDS):
            poll()

    threading.Thread(target=loop, daemon=True).start()
    try:
        yield
        poll()
    finally:
        ended.set()
        if guest:
            for path in (report, *(out / "shards").glob(f"{name}.*")):
                path.unlink(missing_ok=True)
