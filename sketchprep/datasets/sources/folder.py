"""The source `folder`: any photos below a folder or in a zip, or those on a list."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from sketchprep.datasets.left_out import LeftOut
from sketchprep.datasets.sources.base import Scan, Source
from sketchprep.datasets.sources.tables import samples_of
from sketchprep.errors import SampleError, UserError
from sketchprep.records import Failure, Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.photo_list import PhotoList

__all__ = ["PhotoFolder", "parse_attribute_table"]

# What the first column of a table of attributes may be called, and what may stand between columns.
KEYS = ("id", "image_id", "image", "file", "filename", "file_name", "path")
SEPARATORS = (",", ";", "\t")


class PhotoFolder(Source):
    """Every picture below a folder, or in a zip; its id is its path, extension included.

    Parameters
    ----------
    root : Path
    attributes : str, optional
        Path inside the root of a CSV table of attributes: a header ``id,NAME,…``, then a row a photo with 1 or 0 under
        each name; see `parse_attribute_table`.
    follow_links : bool
        In a folder, follow links that leave it.
    """

    name = "folder"
    licence = "unknown: that of the photos in the folder"
    about = "any photos, in any number of sub-folders"
    obtain = "give a folder (or a zip) of your own photos with --root"
    companions: ClassVar[tuple[str, ...]] = ()
    """Files beside the photos that belong to them and are not counted as left out."""

    def __init__(self, root: Path, attributes: str | None = None, follow_links: bool = False) -> None:
        super().__init__(root, follow_links)
        self.attributes = attributes
        self._table: dict[str, tuple[str, ...]] | None = None
        self._names: tuple[str, ...] = ()
        self._list: PhotoList | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_table": None, "_list": None}

    def take_list(self, path: Path) -> None:
        """See `Source.take_list`; the paths are relative to the root and need not exist yet."""
        from sketchprep.datasets.sources.photo_list import PhotoList

        self._list, self._scanned = PhotoList(path, self.name), None

    @property
    def listed(self) -> bool:
        """See `Source.listed`."""
        return self._list is not None

    def batches(self, limit: int | None = None) -> Iterator[pa.Table]:
        """See `Source.batches`; of a list no more than a piece is held."""
        if self._list is None:
            yield from super().batches(limit)
            return
        left = self._list.count if limit is None else limit
        for batch in self._list.batches():
            if left <= 0:
                return
            yield self._with_attributes(batch.slice(0, left))
            left -= len(batch)

    def count(self, limit: int | None = None) -> int:
        """See `Source.count`."""
        if self._list is None:
            return super().count(limit)
        return self._list.count if limit is None else min(limit, self._list.count)

    def _with_attributes(self, batch: pa.Table) -> pa.Table:
        import pyarrow as pa

        table = self._read_table()
        if self.attributes is None:
            return batch
        values = pa.array([table.get(id_) for id_ in batch["id"].to_pylist()], pa.list_(pa.string()))
        return batch.set_column(batch.column_names.index("attributes"), "attributes", values)

    def attribute_names(self) -> tuple[str, ...]:
        """Return the names in the attribute table."""
        self._read_table()
        return self._names

    def _id(self, path: str) -> str:
        return path

    def _read_table(self) -> dict[str, tuple[str, ...]]:
        if self._table is None:
            self._table = {}
            if self.attributes is not None:
                try:
                    data = self.read(self.attributes)
                except SampleError as error:
                    raise UserError(f"option attributes of source {self.name}: {error.message}") from None
                self._names, self._table = parse_attribute_table(data, self.attributes)
        return self._table

    def left_out(self) -> LeftOut:
        """See `Source.left_out`."""
        found = super().left_out()
        if self._list is not None and self._list.repeated:
            found.add("listed twice", count=self._list.repeated)
        return found

    def refused(self) -> list[Failure]:
        """See `Source.refused`."""
        return super().refused() if self._list is None else sorted(self._list.refused, key=lambda f: (f.id, f.kind))

    def _scan(self) -> Scan:
        if self._list is not None:
            samples = [sample for batch in self.batches() for sample in samples_of(batch)]
            return Scan(samples, self.refused(), notes={"listed twice": self._list.repeated})
        listing = self.tree.files()
        for path in (self.attributes, *self.companions):
            if path is not None and self.tree.kind(path) == "file":
                listing.use(path)
        scan = self._start(listing)
        table = self._read_table()
        for entry in listing.files:
            id_ = self._id(entry.path)
            scan.samples.append(Sample(id_, self.name, entry.path, entry.size, attributes=table.get(id_)))
        scan.notes["folders"] = len({str(PurePosixPath(entry.path).parent) for entry in listing.files})
        if self.attributes is not None:
            ids = {sample.id for sample in scan.samples}
            scan.notes["annotations"] = {
                "attribute rows": len(table),
                **self._without_photo(table.keys() - ids, scan),
                "photos without an attribute row": len(ids - table.keys()),
            }
        return scan

    def _without_photo(self, rows: Collection[str], scan: Scan) -> dict[str, int]:
        noun = "attribute rows without a photo"
        for id_ in rows:
            scan.left_out.add(noun, id_)
        return {noun: len(rows)}


def parse_attribute_table(data: bytes, file: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Parse a CSV table of attributes.

    Columns are separated by commas, semicolons or tabs; the first is the photo's id as it is listed (its path, for a
    folder).  Values are 1 for true, and 0 or -1 for false.

    Returns
    -------
    names : tuple of str
    table : dict
        Id to the sorted names under which its row holds 1.

    Raises
    ------
    UserError
        With file and line number, for anything that is not a header ``id,NAME,…`` and rows of such values.
    """
    try:
        text = data.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
        header = next(reader, [])
        names = tuple(name.strip() for name in header[1:])
        if (
            not header
            or header[0].strip().lower() not in KEYS
            or not names
            or len(set(names)) != len(names)
            or "" in names
        ):
            raise UserError(
                f"{file}, line 1: expected a header of the form id,NAME,… (or {KEYS[1]},NAME,…) with no name twice"
            )
        table: dict[str, tuple[str, ...]] = {}
        for row in reader:
            if row:
                _add_row(row, names, table, f"{file}, line {reader.line_num}")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file}, line {line}: the text is not valid UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{file}, line {reader.line_num}: not valid CSV: {error}") from None
    return names, table


def _separator(text: str) -> str:
    """The separator that the header has most of; a comma if it has none."""
    return max(SEPARATORS, key=text.partition("\n")[0].count)


def _add_row(row: list[str], names: tuple[str, ...], table: dict[str, tuple[str, ...]], where: str) -> None:
    if len(row) != len(names) + 1:
        raise UserError(f"{where}: expected {len(names) + 1} columns, found {len(row)}")
    if row[0] in table:
        raise UserError(f"{where}: a second row for {row[0]!r}")
    values = [value.strip() for value in row[1:]]
    wrong = next((value for value in values if value not in ("0", "1", "-1")), None)
    if wrong is not None:
        raise UserError(f"{where}: expected 1 or 0, found {wrong!r}")
    table[row[0]] = tuple(sorted(name for name, value in zip(names, values, strict=True) if value == "1"))
