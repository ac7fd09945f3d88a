"""Parquet written in row groups, so that memory does not grow with the number of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.io.table_kinds import with_columns

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetStream", "RowGroups"]


class RowGroups:
    """Writes tables to a Parquet file in row groups of `rows` and a little more, whatever their own size.

    A group a shard would make a footer that no reader likes to hold, where there are ten thousand shards; one group
    alone would have to be held whole.

    Parameters
    ----------
    path : Path
        Written directly; give a temporary one.
    schema : pyarrow.Schema
        Columns beyond it are left out, those that a table lacks are null.
    rows : int
        Least size of every group but the last.
    """

    def __init__(self, path: Path, schema: pa.Schema, rows: int) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema, self._rows = schema, rows
        self._tables: list[pa.Table] = []
        self._count = 0

    def __enter__(self) -> RowGroups:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        self._tables.append(with_columns(table, self._schema))
        self._count += len(table)
        if self._count >= self._rows:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._tables:
            self._writer.write_table(pa.concat_tables(self._tables).combine_chunks())
            self._tables.clear()
            self._count = 0


class ParquetStream:
    """Write rows to a Parquet file in groups, so that memory does not grow with their number.

    Parameters
    ----------
    path : Path
        Written directly; give a temporary one.
    schema : pyarrow.Schema
    group : int
        Rows a group.
    """

    def __init__(self, path: Path, schema: pa.Schema, group: int = 8192) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema, self._group = schema, group
        self._rows: list[dict[str, Any]] = []
        self.count = 0

    def add(self, **row: Any) -> None:
        """Append one row."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= self._group:
            self._flush()

    def close(self) -> None:
        """Write what is left and finish the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()
