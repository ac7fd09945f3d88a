"""Finished shards into one index.  A pure function of the shard files: it may run again at any time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.datasets import plan
from sketchprep.datasets.build import doubles
from sketchprep.datasets.layout import Totals
from sketchprep.datasets.schema import failure_schema, index_schema, split_pairs
from sketchprep.io import shards
from sketchprep.io.files import atomic
from sketchprep.io.tables import RowGroups

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["merge"]

GROUP_ROWS = 4096


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
        RowGroups(index_path, index_schema(), GROUP_ROWS) as index,
        RowGroups(failures_path, failure_schema(), GROUP_ROWS) as failures,
    ):
        for dropped in plan.failure_tables(planned):
            failures.add(dropped)
            totals.count(dropped)
        for name in names:
            rows = doubles.mark(_read_shard(out, name, totals), late)
            pairs, failed = split_pairs(rows)
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
