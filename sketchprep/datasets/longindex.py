"""An index that is too long to hold: its rows are read from the file, a row group at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LongIndex", "read_spread"]

GROUPS_HELD = 4


class LongIndex:
    """Rows of an ``index.parquet``, all or those of one split, by number or by id.

    Held are the footer, where the split's rows lie (they are neighbours) and the row groups that were used last.  Rows
    in order cost next to nothing; a row anywhere else costs the reading of its group, some ten milliseconds.

    Parameters
    ----------
    path : Path
    split : str, optional
        Only its rows.

    Attributes
    ----------
    splits : set of str
        All splits of the file, known where one was asked for.
    """

    def __init__(self, path: Path, split: str | None = None) -> None:
        self.path = path
        self.splits: set[str] = set()
        self._ranges: list[tuple[int, int]] = []  # of rows in the file
        self._firsts = [0]  # row at which each group begins
        self._held: dict[int, pa.Table] = {}
        self._file: Any = None
        footer = self._open().metadata
        for group in range(footer.num_row_groups):
            first, size = self._firsts[-1], footer.row_group(group).num_rows
            self._firsts.append(first + size)
            for start, stop in [(0, size)] if split is None else self._inside(group, split):
                self._add(first + start, first + stop)
        self._starts = [0]
        for start, stop in self._ranges:
            self._starts.append(self._starts[-1] + stop - start)

    def __len__(self) -> int:
        return self._starts[-1]

    def row(self, number: int) -> dict[str, Any]:
        """Return one row."""
        at = bisect_right(self._starts, number) - 1
        position = self._ranges[at][0] + number - self._starts[at]
        group = bisect_right(self._firsts, position) - 1
        return self._group(group).slice(position - self._firsts[group], 1).to_pylist()[0]

    def find(self, id_: str, source: str | None = None) -> int | None:
        """Return the number of the first row with an id; groups whose bounds exclude it are not read."""
        footer = self._open().metadata
        column = footer.schema.to_arrow_schema().names.index("id")  # a plain column: its leaf has the same number
        for at, (start, stop) in enumerate(self._ranges):
            for group in range(bisect_right(self._firsts, start) - 1, len(self._firsts) - 1):
                if self._firsts[group] >= stop:
                    break
                bounds = footer.row_group(group).column(column).statistics
                if bounds is None or not bounds.has_min_max or bounds.min <= id_ <= bounds.max:
                    for offset in self._offsets(group, id_, source):
                        position = self._firsts[group] + offset
                        if start <= position < stop:
                            return self._starts[at] + position - start
        return None

    def table(self) -> pa.Table:
        """Read all rows: for those who need a whole column of a long index, and have the memory."""
        import pyarrow as pa

        whole = self._open().read()
        return pa.concat_tables([whole.slice(start, stop - start) for start, stop in self._ranges])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_held": {}}

    def _open(self) -> Any:
        import pyarrow.parquet as pq

        if self._file is None:
            self._file = pq.ParquetFile(self.path)
        return self._file

    def _group(self, number: int) -> pa.Table:
        table = self._held.pop(number, None)
        if table is None:
            if len(self._held) >= GROUPS_HELD:
                self._held.pop(next(iter(self._held)))
            table = self._open().read_row_group(number, use_threads=False)
        self._held[number] = table
        return table

    def _offsets(self, group: int, id_: str, source: str | None) -> Iterator[int]:
        rows = self._open().read_row_group(group, columns=["id", "source"], use_threads=False)
        for offset, (found, origin) in enumerate(zip(rows["id"].to_pylist(), rows["source"].to_pylist(), strict=True)):
            if found == id_ and source in (None, origin):
                yield offset

    def _inside(self, group: int, split: str) -> list[tuple[int, int]]:
        """Runs of rows of a group that belong to a split."""
        values = self._open().read_row_group(group, columns=["split"], use_threads=False)["split"]
        names = values.unique().to_pylist()
        self.splits |= set(names)
        if names == [split]:
            return [(0, len(values))]
        if split not in names:
            return []
        inside = [at for at, value in enumerate(values.to_pylist()) if value == split]
        return [(at, at + 1) for at in inside]

    def _add(self, start: int, stop: int) -> None:
        if self._ranges and self._ranges[-1][1] == start:
            start = self._ranges.pop()[0]
        self._ranges.append((start, stop))


def read_spread(path: Path, count: int) -> pa.Table:
    """Rows spread evenly over a Parquet file, reading no row group but theirs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        footer = file.metadata
        total = footer.num_rows
        last = max(1, min(count, total) - 1)
        wanted = sorted({round(i * (total - 1) / last) for i in range(min(count, total))})
        tables, first = [file.schema_arrow.empty_table()], 0
        for number in range(footer.num_row_groups):
            size = footer.row_group(number).num_rows
            inside = [row - first for row in wanted if first <= row < first + size]
            if inside:
                tables.append(file.read_row_group(number).take(inside))
            first += size
        return pa.concat_tables(tables)
