"""Recheck a dataset: every tar, every member, every row against what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sketchprep.datasets import plan
from sketchprep.datasets.layout import MERGE_STAGE, complete_shards, plan_path
from sketchprep.datasets.remote import tar, view
from sketchprep.datasets.schema import FAILURES, INDEX, SHARD, failures_of, pairs_of
from sketchprep.errors import UserError
from sketchprep.io import shards as store
from sketchprep.io.tables import TableFile, tables

__all__ = ["Extent", "extent", "verify"]

CHUNK = 1 << 20


class Extent(NamedTuple):
    """How much of a dataset is there to be checked: complete shards, all shards, photos of the complete ones."""

    complete: int
    shards: int
    photos: int


def extent(folder: str | os.PathLike[str]) -> Extent:
    """Count what `verify` will look at, from names alone: files may be damaged."""
    out = view(folder)
    sizes = plan.shard_sizes(plan_path(out))
    finished = [name for name in complete_shards(out) if name in sizes]
    return Extent(len(finished), len(sizes), sum(sizes[name] for name in finished))


def verify(folder: str | os.PathLike[str], *, checked: Callable[[int], Any] = lambda photos: None) -> list[str]:
    """Recheck a dataset's files.

    Every tar is read whole once and compared with the size and sha256 in its Parquet file; every member is read at its
    offset and compared with its own sha256; the rows are compared with the plan, and the index with the rows.

    Parameters
    ----------
    folder : path
        A dataset, finished or not; shards that are not complete are no fault.
    checked : callable
        Called with the number of photos after each shard, for a progress bar.

    Returns
    -------
    list of str
        One sentence a fault; empty if all is sound.

    Raises
    ------
    UserError
        If the folder holds no planned dataset.
    """
    out = view(folder)
    path = plan_path(out)
    sizes = plan.shard_sizes(path)
    faults = []
    finished = complete_shards(out)
    faults += [f"shards/{name}.parquet: is in no plan; remove it" for name in finished if name not in sizes]
    for shard in plan.iter_shards(path, [name for name in finished if name in sizes]):
        with tar(out, shard.name):
            faults += _check_shard(out, shard.name, shard)
        checked(len(shard))
    if not faults and len(finished) == len(sizes):
        faults += _check_index(out, finished)
    return faults


def _check_shard(out: Path, name: str, planned: plan.ShardPlan) -> Iterator[str]:
    remedy = f"delete shards/{name}.parquet and run the same build command: the shard is made again"
    path = out / "shards" / f"{name}.tar"
    marker = path.with_suffix(".parquet")
    try:
        with TableFile(marker, SHARD) as file:
            meta, table = store.shard_meta(file.metadata, marker), file.read_all()
        rows, failed = pairs_of(table, marker).to_pylist(), failures_of(table, marker)
    except (OSError, UserError):
        yield f"shards/{name}.parquet: is damaged; {remedy}"
        return
    if (meta["photos"], meta["pairs"]) != (len(rows) + len(failed), len(rows)):
        yield f"shards/{name}.parquet: counts other rows than it holds; {remedy}"
    if table["id"].to_pylist() != [sample.id for sample in planned.samples]:
        yield f"shards/{name}.parquet: its rows are not the planned ones; {remedy}"
    try:
        size, digest = path.stat().st_size, _sha256(path)
    except OSError as error:
        yield f"shards/{name}.tar: cannot be read ({error.strerror}); {remedy}"
        return
    if (size, digest) != (meta["tar_bytes"], meta["tar_sha256"]):
        sizes = f"{size} bytes, not {meta['tar_bytes']}" if size != meta["tar_bytes"] else f"{size} bytes"
        yield f"shards/{name}.tar: sha256 is {digest}, not {meta['tar_sha256']} ({sizes}); {remedy}"
    yield from _check_members(path, rows, remedy)


def _check_members(path: Path, rows: list[dict[str, Any]], remedy: str) -> Iterator[str]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for row in rows:
            for member in row["members"]:
                inside = 0 <= member["offset"] <= size and 0 <= member["size"] <= size
                data = os.pread(file.fileno(), member["size"], member["offset"]) if inside else b""
                if not inside or hashlib.sha256(data).hexdigest() != member["sha256"]:
                    name = f"{store.key(row['ordinal'])}.{member['name']}"
                    yield f"shards/{path.name}: member {name} of {row['id']!r} is not what was written; {remedy}"


def _check_index(out: Path, names: list[str]) -> Iterator[str]:
    """The merged index must hold the rows of the shards."""
    pairs = sum(store.read_shard_meta(out / "shards" / f"{name}.parquet")["pairs"] for name in names)
    remedy = "delete it and run the same build command: it is merged again"
    try:
        pairs -= _merged_duplicates(out)
    except UserError:
        yield f"failures.parquet: is damaged; {remedy}"
        return
    try:
        rows = sum(len(table) for table in tables(out / "index.parquet", kind=INDEX))
    except (OSError, UserError):
        yield f"index.parquet: is missing or damaged; {remedy}"
        return
    if rows != pairs:
        yield f"index.parquet: has {rows} rows, the shards have {pairs}; {remedy}"


def _merged_duplicates(out: Path) -> int:
    """Number of pairs that the last merge left out of the index as duplicates."""
    import pyarrow.compute as pc

    path = out / "failures.parquet"
    if not path.is_file():
        return 0
    return sum(pc.sum(pc.equal(table["stage"], MERGE_STAGE)).as_py() or 0 for table in tables(path, kind=FAILURES))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
