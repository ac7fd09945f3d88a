"""Finished shards into one index.  A pure function of the shard files: it may run again at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep import plan, store

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Totals", "complete_shards", "merge", "read_failures", "shard_failures"]

GROUP_ROWS = 4096


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


def complete_shards(out: Path) -> list[str]:
    """Names of the shards whose marker lies on the disk, sorted."""
    return sorted(path.stem for path in (out / "shards").glob("*.parquet") if not path.name.startswith("."))


def merge(out: Path, planned: pa.Table, names: Iterable[str]) -> Totals:
    """Write ``index.parquet`` (pairs) and ``failures.parquet`` (everything else), in row groups of many shards.

    Every shard's rows are read once, and only one row group is held.

    Parameters
    ----------
    out : Path
        The dataset.
    planned : pyarrow.Table
        Its plan; the samples that planning dropped become failures.
    names : iterable of str
        The shards, in the order in which their rows shall stand.

    Returns
    -------
    Totals
    """
    import pyarrow as pa

    index_schema = _index_schema()
    failure_schema = store.failure_schema()
    dropped = [{n: getattr(f, n) for n in failure_schema.names} for f in plan.failures(planned)]
    totals = Totals(failures=Counter((bool(row["rejected"]), row["kind"]) for row in dropped))
    with (
        store.atomic(out / "index.parquet") as index_path,
        store.atomic(out / "failures.parquet") as failures_path,
        _Groups(index_path, index_schema) as index,
        _Groups(failures_path, failure_schema) as failures,
    ):
        if dropped:
            failures.add(pa.Table.from_pylist(dropped, schema=failure_schema))
        for name in names:
            rows = _read_shard(out, name, totals)
            pairs, failed = _split_rows(rows)
            if len(pairs):
                index.add(pairs)
            if len(failed):
                failures.add(failed)
                for rejected, kind in zip(failed["rejected"].to_pylist(), failed["kind"].to_pylist(), strict=True):
                    totals.failures[bool(rejected), kind] += 1
                    totals.failed += not rejected
    return totals


class _Groups:
    """Writes tables to a Parquet file in row groups of `GROUP_ROWS` and a little more, whatever their own size.

    A group a shard would make a footer that no reader likes to hold, where there are ten thousand shards.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema
        self._tables: list[pa.Table] = []
        self._count = 0

    def __enter__(self) -> _Groups:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Append rows; columns beyond the schema's are left out."""
        self._tables.append(table.select(self._schema.names).cast(self._schema))
        self._count += len(table)
        if self._count >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._tables:
            self._writer.write_table(pa.concat_tables(self._tables).combine_chunks())
            self._tables.clear()
            self._count = 0


def _read_shard(out: Path, name: str, totals: Totals) -> pa.Table:
    """Rows of a shard; its size is added to the totals.  One thread: a shard's file is too small to share."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(out / "shards" / f"{name}.parquet") as file:
        meta = store.shard_meta(file.metadata)
        totals.pairs += meta["pairs"]
        totals.bytes += meta["tar_bytes"]
        return file.read(use_threads=False)


def shard_failures(out: Path, names: Iterable[str]) -> pa.Table:
    """The rejected and failed rows of the given shards.  Shards without any are known by their footer alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = store.failure_schema()
    tables = []
    for name in names:
        with pq.ParquetFile(out / "shards" / f"{name}.parquet") as file:
            meta = store.shard_meta(file.metadata)
            if meta["pairs"] < meta["photos"]:
                rows = file.read(columns=schema.names, use_threads=False)
                tables.append(_split_rows(rows)[1].select(schema.names).cast(schema))
    return pa.concat_tables([schema.empty_table(), *tables])


def read_failures(out: Path, planned: pa.Table, names: Iterable[str]) -> pa.Table:
    """Everything that became no pair: what planning dropped, then the rows of the given shards."""
    import pyarrow as pa

    schema = store.failure_schema()
    dropped = [{n: getattr(f, n) for n in schema.names} for f in plan.failures(planned)]
    return pa.concat_tables([pa.Table.from_pylist(dropped, schema=schema), shard_failures(out, names)])


def _split_rows(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Pairs, and what became no pair."""
    import pyarrow.compute as pc

    ok = pc.is_null(rows["kind"])
    return rows.filter(ok), rows.filter(pc.invert(ok))


def _index_schema() -> pa.Schema:
    schema = store.index_schema()
    for name in store.FAILURE_COLUMNS:
        schema = schema.remove(schema.get_field_index(name))
    return schema
