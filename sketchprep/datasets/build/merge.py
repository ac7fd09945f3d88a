"""Merge finished shards into one index: a pure function of their files, idempotent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.datasets import plan
from sketchprep.datasets.layout import MERGE_STAGE, Totals
from sketchprep.datasets.schema import PLAN, SHARD, failure_schema, failures_of, index_schema, pairs_of
from sketchprep.io import query, shards
from sketchprep.io.files import atomic
from sketchprep.io.table_writers import RowGroups
from sketchprep.io.tables import TableFile, tables

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["find_duplicates", "mark_duplicates", "merge"]

GROUP_ROWS = 4096
# Digests are grouped by their first eight bytes; whole ones are compared only within a group.
DUPLICATES = """
    WITH pairs AS (
        SELECT ordinal, id, sha256, TRY_CAST('0x' || sha256[:16] AS UBIGINT) AS prefix FROM rows WHERE kind IS NULL
    ), repeated AS (
        SELECT prefix FROM pairs GROUP BY prefix HAVING count(*) > 1
    )
    SELECT ordinal, first_value(id) OVER same FROM pairs SEMI JOIN repeated USING (prefix)
    WINDOW same AS (PARTITION BY sha256 ORDER BY ordinal) QUALIFY row_number() OVER same > 1
"""


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
    duplicates = find_duplicates(out, planned, names)
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
            path = out / "shards" / f"{name}.parquet"
            rows = mark_duplicates(_read_shard(path, totals), duplicates)
            pairs, failed = pairs_of(rows, path), failures_of(rows, path)
            totals.pairs += len(pairs)
            if len(pairs):
                index.add(pairs)
            if len(failed):
                failures.add(failed)
                totals.failed += totals.count(failed)
    return totals


def _read_shard(path: Path, totals: Totals) -> pa.Table:
    """Rows of a shard; its size is added to the totals."""
    with TableFile(path, SHARD) as file:
        totals.bytes += shards.shard_meta(file.metadata, path)["tar_bytes"]
        return file.read_all()


def find_duplicates(out: Path, planned: pa.Table | Path, names: Sequence[str]) -> dict[int, str]:
    """Pairs whose photo has the bytes of an earlier pair's: ordinal to the id of that one.

    Parameters
    ----------
    out : Path
        The dataset; all its shards are there.
    planned : pyarrow.Table or Path
        Its plan; if that knows every digest, it knows the duplicates too, and nothing is read.
    names : sequence of str
        The shards.
    """
    if not names or not _lacks_digests(planned):
        return {}
    import duckdb

    files = [out / "shards" / f"{name}.parquet" for name in names]
    with query.connect() as connection:
        try:
            connection.read_parquet([str(path) for path in files]).create_view("rows")
            return dict(connection.execute(DUPLICATES).fetchall())
        except duckdb.Error:
            for path in files:  # one of them is damaged: reading it says so
                _read_shard(path, Totals())
            raise


def mark_duplicates(rows: pa.Table, duplicates: Mapping[int, str]) -> pa.Table:
    """Turn the pairs of a shard that are duplicates into failures."""
    import pyarrow as pa

    if not duplicates:
        return rows
    ordinals = rows["ordinal"].to_pylist()
    if duplicates.keys().isdisjoint(ordinals):
        return rows
    owners = [duplicates.get(ordinal) for ordinal in ordinals]
    for name in ("stage", "kind", "message", "rejected"):
        at = rows.column_names.index(name)
        values: list[Any] = rows[name].to_pylist()
        for number, owner in enumerate(owners):
            if owner is not None:
                message = f"the same bytes as {owner!r}"
                values[number] = {"stage": MERGE_STAGE, "kind": "duplicate", "message": message, "rejected": True}[name]
        rows = rows.set_column(at, name, pa.array(values, rows.schema.field(name).type))
    return rows


def _lacks_digests(planned: pa.Table | Path) -> bool:
    """Whether the plan lacks the digest of any photo that it gave to a shard."""
    import pyarrow.compute as pc

    return any(
        pc.any(pc.and_(pc.is_null(table["sha256"]), pc.is_valid(table["shard"]))).as_py()
        for table in tables(planned, ["sha256", "shard"], kind=PLAN)
        if table["sha256"].null_count
    )
