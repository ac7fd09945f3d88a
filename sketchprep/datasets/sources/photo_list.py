"""A list of photos in a file, text or Parquet: read in pieces, sorted by DuckDB, each path once.

Ten million paths are neither held in memory nor looked up: a path that leads to nothing becomes a failure of its shard.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.datasets.schema import sample_schema
from sketchprep.datasets.sources.tables import BATCH_ROWS
from sketchprep.errors import UserError
from sketchprep.io.query import connect
from sketchprep.io.table_writers import RowGroups
from sketchprep.io.tables import rows_of
from sketchprep.records import Failure

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PhotoList"]

CHUNK_BYTES = 1 << 23
LONGEST_LINE = 1 << 16
LEAVES = r"^$|^/|(^|/)\.\.(/|$)|\x00"
# Columns of a Parquet list beside ``path``, and what they are cast to.
OPTIONAL = ("size", "sha256", "split", "attributes", "pose")


class PhotoList:
    """Paths relative to a root, in a file.

    Parameters
    ----------
    path : Path
        ``.parquet`` with a column ``path`` and perhaps ``size``, ``sha256``, ``split``, ``attributes`` and ``pose``;
        anything else is text in UTF-8, a path a line.
    source : str
        Name of the source that the photos are given out as.

    Attributes
    ----------
    count : int
        Paths that can be used.
    refused : list of Failure
        Paths that leave the root and lines that are not valid UTF-8.
    repeated : int
        Lines whose path stood there before; the first counts.

    Raises
    ------
    UserError
        If the file cannot be read or is no such list.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path, self.source = path, source
        self.refused: list[Failure] = []
        self._folder = tempfile.TemporaryDirectory(prefix="sketchprep-list-")
        self._sorted = Path(self._folder.name) / "sorted.parquet"
        listed = self._sort()
        self.count = rows_of(self._sorted)
        self.repeated = listed - self.count

    def batches(self) -> Iterator[pa.Table]:
        """Yield the columns of `sketchprep.datasets.schema.sample_schema`, sorted by path."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = sample_schema()
        with pq.ParquetFile(self._sorted) as file:
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                count, path = len(batch), batch["path"]
                columns = {"id": path, "source": pa.repeat(self.source, count), "path": path}
                columns["sketch_path"] = pa.nulls(count, pa.string())
                yield pa.table({**columns, **{name: batch[name] for name in OPTIONAL}}, schema=schema)

    def _sort(self) -> int:
        """Write the valid rows in order of their paths, of each path the first; return how many there were."""
        import pyarrow as pa

        schema, listed, last = _schema(), 0, None
        with connect() as database, RowGroups(self._sorted, schema, BATCH_ROWS) as kept:
            database.register("rows", schema.empty_table())
            database.execute("CREATE TABLE listed AS FROM rows")
            for rows in self._valid():
                database.register("rows", rows)
                database.execute("INSERT INTO listed FROM rows")
            in_order = database.sql("SELECT * FROM listed ORDER BY path, rowid")
            for batch in in_order.to_arrow_reader(BATCH_ROWS):
                listed += len(batch)
                kept.add(_without_repeats(pa.Table.from_batches([batch]), last))
                last = batch["path"][-1]
        return listed

    def _valid(self) -> Iterator[pa.Table]:
        """Rows with valid paths, as they stand in the file; what is refused beside them is kept."""
        import pyarrow as pa
        import pyarrow.compute as pc

        schema = _schema()
        for batch, refused in self._read():
            paths = pc.replace_substring_regex(batch["path"], r"^(\./+)+", "")
            bad = pc.match_substring_regex(paths, LEAVES)
            self.refused += refused
            if pc.any(bad).as_py():
                gone = batch["path"].filter(bad).to_pylist()
                self.refused += [self._refuse(p, "leaves-root", "the path does not stay inside the root") for p in gone]
                batch, paths = batch.filter(pc.invert(bad)), paths.filter(pc.invert(bad))
            columns = {name: pa.nulls(len(batch), schema.field(name).type) for name in OPTIONAL}
            columns["size"] = pa.repeat(pa.scalar(-1, pa.int64()), len(batch))
            known = {name: batch[name] for name in batch.column_names}
            yield pa.table({**columns, **known, "path": paths}).select(schema.names).cast(schema)

    def _read(self) -> Iterator[tuple[pa.Table, list[Failure]]]:
        try:
            yield from self._parquet() if self.path.suffix.lower() == ".parquet" else self._text()
        except OSError as error:
            raise UserError(f"--list {self.path}: cannot be read ({error.strerror or error}); check the path") from None

    def _text(self) -> Iterator[tuple[pa.Table, list[Failure]]]:
        import pyarrow as pa

        first, carry = True, b""
        with self.path.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                if first:
                    data, first = data.removeprefix(b"\xef\xbb\xbf"), False
                *lines, carry = (carry + data).split(b"\n")
                if len(carry) > LONGEST_LINE:
                    raise UserError(f"--list {self.path}: has a line of over {LONGEST_LINE:,} bytes; one path a line")
                paths, refused = self._decode(lines)
                yield pa.table({"path": paths}), refused
        paths, refused = self._decode([carry])
        yield pa.table({"path": paths}), refused

    def _decode(self, lines: list[bytes]) -> tuple[pa.Array, list[Failure]]:
        import pyarrow as pa

        lines = [line.removesuffix(b"\r") for line in lines if line not in (b"", b"\r")]
        try:
            return pa.array(lines, pa.binary()).cast(pa.string()), []
        except pa.ArrowInvalid:
            good, refused = [], []
            for line in lines:
                try:
                    good.append(line.decode())
                except UnicodeDecodeError:
                    name = line.decode("utf-8", "backslashreplace")
                    refused.append(self._refuse(name, "bad-name", "the line is not valid UTF-8: rename the file"))
            return pa.array(good, pa.string()), refused

    def _parquet(self) -> Iterator[tuple[pa.Table, list[Failure]]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                names = file.schema_arrow.names
                if "path" not in names:
                    raise UserError(f"--list {self.path}: has no column 'path' (columns: {', '.join(names) or 'none'})")
                kind = file.schema_arrow.field("path").type
                kind = kind.value_type if pa.types.is_dictionary(kind) else kind
                if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                    raise UserError(f"--list {self.path}: column 'path' holds {kind}; expected text")
                wanted = ["path", *(name for name in OPTIONAL if name in names)]
                types = pa.schema([_schema().field(name) for name in wanted])
                for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
                    yield self._proper(pa.Table.from_batches([batch]).select(wanted).cast(types)), []
        except pa.ArrowInvalid as error:
            raise UserError(f"--list {self.path}: {str(error).splitlines()[0]}; see the README on lists") from None

    def _proper(self, batch: pa.Table) -> pa.Table:
        """Refuse columns that would be taken for what they are not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rules = {"path": "", "sha256": "^[0-9a-f]{64}$", "split": "^(train|val|test)$"}
        for name, pattern in rules.items():
            if name in batch.column_names:
                wrong = (
                    pc.invert(pc.match_substring_regex(batch[name], pattern)) if pattern else pc.is_null(batch[name])
                )
                if pc.any(wrong).as_py():
                    value = batch[name].filter(pc.fill_null(wrong, fill_value=False))[0].as_py()
                    raise UserError(f"--list {self.path}: column '{name}' holds {value!r}; expected {_EXPECTED[name]}")
        if "size" in batch.column_names:
            at = batch.column_names.index("size")
            batch = batch.set_column(at, "size", pc.fill_null(batch["size"], pa.scalar(-1, pa.int64())))
        return batch

    def _refuse(self, path: str, kind: str, message: str) -> Failure:
        return Failure(path, self.source, "list", kind, message)


_EXPECTED = {
    "path": "a path in every row",
    "sha256": "64 hexadecimal digits in lower case",
    "split": "train, val or test",
}


def _schema() -> pa.Schema:
    """Columns of a list: of `sample_schema` those that it may have."""
    import pyarrow as pa

    return pa.schema([sample_schema().field(name) for name in ("path", *OPTIONAL)])


def _without_repeats(rows: pa.Table, last: pa.Scalar | None) -> pa.Table:
    """Sorted rows without those whose path the row before has; `last` is the path before the first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    paths = rows["path"].combine_chunks()
    before = pa.concat_arrays([pa.array([last], paths.type), paths[:-1]])
    return rows.filter(pc.fill_null(pc.not_equal(paths, before), True))
