"""Finished shards into one index.  A pure function of the shard files: it may run again at any time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.datasets import plan
from sketchprep.datasets.build import doubles
from sketchprep.io import shards
from sketchprep.io.files import atomic
from sketchprep.io.tables import RowGroups

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Totals", "complete_shards", "merge", "read_failures", "shard_failures"]

GROUP_ROWS = 4096
# There from the moment when work on shards begins until index, card and preview tell of it.
UNMERGED = Path("log") / "unmerged"


@dataclass
class Totals:
    """What a merge saw.

    Attributes
    ----------
    pairs, bytes : int
        Of all shards; bytes are the tars'.
    failures : Counter
        (rejected, kind) to number of photos, over the plan and the shards.
    failed : int
        Photos of the shards that could not be processed.
    """

    pairs: int = 0
    bytes: int = 0
    failures: Counter[tuple[bool, str]] = field(default_factory=Counter)
    failed: int = 0

    def count(self, rows: pa.Table) -> int:
        """Add rows of failures; return how many of them are photos that could not be processed."""
        found = rows.group_by(["rejected", "kind"]).aggregate([([], "count_all")]).to_pylist()
        for row in found:
            self.failures[bool(row["rejected"]), row["kind"]] += row["count_all"]
        return sum(row["count_all"] for row in found if not row["rejected"])


def complete_shards(out: Path) -> list[str]:
    """Names of the shards whose marker lies on the disk, sorted: one folder is listed, no file is looked at."""
    try:
        names = os.listdir(out / "shards")
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".parquet") for name in names if name.endswith(".parquet") and name[0] != ".")


def merge(out: Path, planned: pa.Table | Path, names: Iterable[str]) -> Totals:
    """Write ``index.parquet`` (pairs) and ``failures.parquet`` (everything else), in row groups of many shards.

    Every shard's rows are read once, and only one row group is held.  Where photos were not opened for the plan, the
    shards' digests are looked through first, eight bytes a pair: of the same bytes the first in the plan stays in the
    index, the others become failures, though the tars hold them.

    Parameters
    ----------
    out : Path
        The dataset.
    planned : pyarrow.Table or Path
        Its plan; the samples that planning dropped become failures.
    names : iterable of str
        The shards, in the order in which their rows shall stand.

    Returns
    -------
    Totals
    """
    names, totals = list(names), Totals()
    late = doubles.find(out, planned, names)
    with (
        atomic(out / "index.parquet") as index_path,
        atomic(out / "failures.parquet") as failures_path,
        RowGroups(index_path, _index_schema(), GROUP_ROWS) as index,
        RowGroups(failures_path, shards.failure_schema(), GROUP_ROWS) as failures,
    ):
        for dropped in plan.failure_tables(planned):
            failures.add(dropped)
            totals.count(dropped)
        for name in names:
            rows = doubles.mark(_read_shard(out, name, totals), late)
            pairs, failed = _split_rows(rows)
            totals.pairs += len(pairs)
            if len(pairs):
                index.add(pairs)
            if len(failed):
                failures.add(failed)
                totals.failed += totals.count(failed)
    return totals


def _read_shard(out: Path, name: str, totals: Totals) -> pa.Table:
    """Rows of a shard; its size is added to the totals.  One thread: a shard's file is too small to share."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(out / "shards" / f"{name}.parquet") as file:
        meta = shards.shard_meta(file.metadata)
        totals.bytes += meta["tar_bytes"]
        return file.read(use_threads=False)


def shard_failures(out: Path, names: Iterable[str]) -> Iterator[pa.Table]:
    """Yield the rejected and failed rows of the given shards.  Those without any are known by their footer alone."""
    import pyarrow.parquet as pq

    schema = shards.failure_schema()
    for name in names:
        with pq.ParquetFile(out / "shards" / f"{name}.parquet") as file:
            meta = shards.shard_meta(file.metadata)
            if meta["pairs"] < meta["photos"]:
                rows = file.read(columns=schema.names, use_threads=False)
                yield _split_rows(rows)[1].select(schema.names).cast(schema)


def read_failures(out: Path, planned: pa.Table | Path, names: Iterable[str]) -> Iterator[pa.Table]:
    """Yield everything that became no pair: what planning dropped, then the rows of the given shards."""
    schema = shards.failure_schema()
    for table in plan.failure_tables(planned):
        yield table.select(schema.names).cast(schema)
    yield from shard_failures(out, names)


def _split_rows(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Pairs, and what became no pair."""
    import pyarrow.compute as pc

    if rows["kind"].null_count == len(rows):
        return rows, rows.slice(0, 0)
    ok = pc.is_null(rows["kind"])
    return rows.filter(ok), rows.filter(pc.invert(ok))


def _index_schema() -> pa.Schema:
    schema = shards.index_schema()
    for name in shards.FAILURE_COLUMNS:
        schema = schema.remove(schema.get_field_index(name))
    return schema
