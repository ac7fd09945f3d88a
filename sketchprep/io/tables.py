"""Parquet read a row group at a time, and checked against the kind it should be of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.io.files import atomic
from sketchprep.io.table_kinds import Kind

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["TableFile", "mapped", "row_at", "rows_of", "spread_rows", "tables"]


class TableFile:
    """A Parquet file, open for the block.

    Parameters
    ----------
    path : Path
    kind : Kind, optional
        What it should be; None for files that this process has written itself.

    Raises
    ------
    UserError
        On entry and on reading, if it is damaged or of another kind.
    """

    def __init__(self, path: Path, kind: Kind | None = None) -> None:
        self.path, self.kind = path, kind

    def __enter__(self) -> TableFile:
        import pyarrow.parquet as pq

        with self._damage():
            self._file = pq.ParquetFile(self.path)
            if self.metadata.num_rows != sum(self.groups):
                raise ValueError("its row groups do not add up")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def metadata(self) -> pq.FileMetaData:
        """The footer."""
        return self._file.metadata

    @property
    def schema(self) -> pa.Schema:
        """The kind's, else its own."""
        return self._file.schema_arrow if self.kind is None else self.kind.columns()

    @property
    def groups(self) -> list[int]:
        """Rows of each row group."""
        return [self.metadata.row_group(number).num_rows for number in range(self.metadata.num_row_groups)]

    def bounds(self, group: int, column: str) -> tuple[Any, Any] | None:
        """Least and largest value of a plain column in a row group, where the footer has them and no value is null."""
        with self._damage():
            facts = self.metadata.row_group(group).column(self.metadata.schema.names.index(column)).statistics
            known = facts is not None and facts.has_min_max and not facts.null_count
            return (facts.min, facts.max) if known else None

    def read(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of a row group, on one thread; only some columns, in this order, if asked."""
        with self._damage():
            names = self.schema.names if columns is None else list(columns)
            rows = self._file.read_row_group(group, columns=names, use_threads=False)
            if len(rows) != self.groups[group]:
                raise ValueError("rows are missing")
        return rows.select(names) if self.kind is None else self.kind.checked(rows, self.path, names)

    def read_all(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All row groups as one table."""
        import pyarrow as pa

        return pa.concat_tables([self.empty(columns), *(self.read(at, columns) for at in range(len(self.groups)))])

    def empty(self, columns: Sequence[str] | None = None) -> pa.Table:
        """No rows, in the right columns."""
        table = self.schema.empty_table()
        return table if columns is None else table.select(list(columns))

    def _damage(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.kind is None else self.kind.damage(self.path)


def tables(
    where: pa.Table | Path, columns: Sequence[str] | None = None, *, kind: Kind | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of a table, or of a Parquet file one row group after the other; only some columns if asked.

    Parameters
    ----------
    where : pyarrow.Table or Path
        Held by the caller, or on the disk: then one row group is in memory.
    columns : sequence of str, optional
        In this order.
    kind : Kind, optional
        What the file should be.
    """
    if not isinstance(where, Path):
        yield where if columns is None else where.select(list(columns))
        return
    with TableFile(where, kind) as file:
        for number in range(len(file.groups)):
            yield file.read(number, columns)
        if not file.groups:
            yield file.empty(columns)


def rows_of(path: Path, kind: Kind | None = None) -> int:
    """Number of rows of a Parquet file, from its footer."""
    with TableFile(path, kind) as file:
        return int(file.metadata.num_rows)


def mapped(path: Path, copy: Path, kind: Kind | None = None) -> pa.Table:
    """Memory-map a Parquet file's rows through an uncompressed Arrow copy, which is made where it is missing.

    Any row is then read in well under a millisecond, and none of them counts as this process' own memory; decoding the
    row group of a row takes a hundred times longer.

    Parameters
    ----------
    path : Path
    copy : Path
        Another one for other content.
    kind : Kind, optional
    """
    import pyarrow as pa

    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic(copy) as temporary,
            TableFile(path, kind) as file,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, file.schema) as writer,
        ):
            for number in range(len(file.groups)):
                writer.write_table(file.read(number))
    return pa.ipc.open_file(pa.memory_map(str(copy))).read_all()


def row_at(path: Path, number: int, kind: Kind | None = None) -> pa.Table:
    """One row of a Parquet file by its number, reading no row group but its own."""
    with TableFile(path, kind) as file:
        for group, rows in enumerate(file.groups):
            if number < rows:
                return file.read(group).slice(number, 1)
            number -= rows
    raise IndexError(f"{path} has fewer rows")


def spread_rows(path: Path, count: int, kind: Kind | None = None) -> pa.Table:
    """Rows spread evenly over a Parquet file, reading no row group but theirs."""
    import pyarrow as pa

    with TableFile(path, kind) as file:
        total = sum(file.groups)
        last = max(1, min(count, total) - 1)
        wanted = sorted({round(i * (total - 1) / last) for i in range(min(count, total))})
        parts, first = [file.empty()], 0
        for number, size in enumerate(file.groups):
            inside = [row - first for row in wanted if first <= row < first + size]
            if inside:
                parts.append(file.read(number).take(inside))
            first += size
        return pa.concat_tables(parts)
