"""Parquet read and written a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.io.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetStream", "RowGroups", "mapped", "row_at", "rows_of", "spread_rows", "tables"]


def tables(where: pa.Table | Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the rows of a table, or of a Parquet file one row group after the other; only some columns if asked.

    Parameters
    ----------
    where : pyarrow.Table or Path
        Held by the caller, or on the disk: then one row group is in memory.
    columns : sequence of str, optional
        In this order.
    """
    import pyarrow.parquet as pq

    if not isinstance(where, Path):
        yield where if columns is None else where.select(list(columns))
        return
    with pq.ParquetFile(where) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=columns, use_threads=False)
        if not file.num_row_groups:
            yield file.schema_arrow.empty_table() if columns is None else file.read(columns=columns)


def rows_of(path: Path) -> int:
    """Number of rows of a Parquet file, from its footer."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def mapped(path: Path, copy: Path) -> pa.Table:
    """Memory-map a Parquet file's rows through an uncompressed Arrow copy, which is made where it is missing.

    Any row is then read in well under a millisecond, and none of them counts as this process' own memory; decoding the
    row group of a row takes a hundred times longer.

    Parameters
    ----------
    path : Path
    copy : Path
        Another one for other content.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic(copy) as temporary,
            pq.ParquetFile(path) as file,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, file.schema_arrow) as writer,
        ):
            for number in range(file.num_row_groups):
                writer.write_table(file.read_row_group(number, use_threads=False))
    return pa.ipc.open_file(pa.memory_map(str(copy))).read_all()


def row_at(path: Path, number: int) -> pa.Table:
    """One row of a Parquet file by its number, reading no row group but its own."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < rows:
                return file.read_row_group(group, use_threads=False).slice(number, 1)
            number -= rows
    raise IndexError(f"{path} has fewer rows")


def spread_rows(path: Path, count: int) -> pa.Table:
    """Rows spread evenly over a Parquet file, reading no row group but theirs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        footer = file.metadata
        total = footer.num_rows
        last = max(1, min(count, total) - 1)
        wanted = sorted({round(i * (total - 1) / last) for i in range(min(count, total))})
        parts, first = [file.schema_arrow.empty_table()], 0
        for number in range(footer.num_row_groups):
            size = footer.row_group(number).num_rows
            inside = [row - first for row in wanted if first <= row < first + size]
            if inside:
                parts.append(file.read_row_group(number).take(inside))
            first += size
        return pa.concat_tables(parts)


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
        self._tables.append(_with_columns(table, self._schema))
        self._count += len(table)
        if self._count >= self._rows:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._tables:
            self._writer.write_table(pa.concat_tables(self._tables).combine_chunks())
            self._tables.clear()
            self._count = 0


def _with_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table's columns in a schema's order; those that it lacks are null."""
    import pyarrow as pa

    for column in schema:
        if column.name not in table.column_names:
            table = table.append_column(column, pa.nulls(len(table), column.type))
    return table.select(schema.names).cast(schema)


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
