"""An external sort: rows in any order in, rows in order of one column out, with a bounded part of them in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Runs"]

RUN_ROWS = 1 << 18
BATCH_ROWS = 1 << 13
SAMPLE_EVERY = 1024


class Runs:
    """Sorted runs in a temporary folder, merged range by range.

    The ranges are cut at keys sampled from the runs, so that each holds about as many rows as a run: they are sorted
    as columns, never compared row by row.

    Parameters
    ----------
    schema : pyarrow.Schema
    key : str
        The text column to sort by.
    rows : int
        Of a run, and of a range.
    """

    def __init__(self, schema: pa.Schema, key: str, rows: int = RUN_ROWS) -> None:
        self._schema, self._key, self._rows = schema, key, rows
        self._folder = tempfile.TemporaryDirectory(prefix="sketchprep-sort-")
        self._waiting: list[pa.Table] = []
        self._held = 0
        self._files: list[Path] = []
        self._sampled: list[str] = []
        self.count = 0

    def add(self, table: pa.Table) -> None:
        """Take rows in any order."""
        self._waiting.append(table)
        self._held += len(table)
        self.count += len(table)
        if self._held >= self._rows:
            self.close()

    def close(self) -> None:
        """Write what is held as a run."""
        import pyarrow as pa

        if not self._held:
            return
        run = self._sort(self._waiting)
        self._waiting, self._held = [], 0
        self._sampled += run[self._key].take(pa.array(range(0, len(run), SAMPLE_EVERY))).to_pylist()
        path = Path(self._folder.name) / f"{len(self._files)}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, self._schema, options=options) as writer:
            writer.write_table(run, max_chunksize=BATCH_ROWS)
        self._files.append(path)

    def merged(self) -> Iterator[pa.Table]:
        """Yield all rows in order; of rows with one key only the first that was added."""
        step = max(1, self._rows // SAMPLE_EVERY)
        limits: list[str | None] = [*sorted(self._sampled)[step::step], None]
        cursors = [_Cursor(path, self._key) for path in self._files]
        try:
            for limit in limits:
                parts = [part for cursor in cursors for part in cursor.below(limit)]
                if parts:
                    yield from _unique(self._sort(parts), self._key)
        finally:
            for cursor in cursors:
                cursor.close()

    def _sort(self, parts: list[pa.Table]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        table = pa.concat_tables(parts).combine_chunks()
        return table.take(pc.sort_indices(table[self._key].combine_chunks()))  # stable


class _Cursor:
    """Reads one run from its beginning to its end."""

    def __init__(self, path: Path, key: str) -> None:
        import pyarrow as pa

        self._file = pa.OSFile(str(path), "rb")
        self._reader: Any = pa.ipc.open_file(self._file)
        self._key, self._number = key, 0
        self._left: pa.Table | None = None

    def below(self, limit: str | None) -> Iterator[pa.Table]:
        """Yield the rows that were not yielded yet and lie below a limit."""
        import pyarrow as pa
        import pyarrow.compute as pc

        while True:
            if self._left is None:
                if self._number == self._reader.num_record_batches:
                    return
                self._left = pa.Table.from_batches([self._reader.get_batch(self._number)])
                self._number += 1
            rows = self._left
            inside = len(rows) if limit is None else pc.sum(pc.less(rows[self._key], limit)).as_py()
            if inside:
                yield rows.slice(0, inside)
            if inside < len(rows):
                self._left = rows.slice(inside)
                return
            self._left = None

    def close(self) -> None:
        self._file.close()


def _unique(table: pa.Table, key: str) -> Iterator[pa.Table]:
    """The rows of a sorted table in batches, without those whose key the row before has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = table[key].combine_chunks()
    if len(keys) > 1:
        first = pa.concat_arrays([pa.array([True]), pc.not_equal(keys[1:], keys[:-1])])
        if not pc.all(first).as_py():
            table = table.filter(first)
    for at in range(0, len(table), BATCH_ROWS):
        yield table.slice(at, BATCH_ROWS)
