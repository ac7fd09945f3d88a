"""A built dataset as a sequence of pairs, read at random."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sketchprep.datasets.layout import is_shard_name, read_recipe
from sketchprep.datasets.pair import Pair
from sketchprep.datasets.remote import url_of, view
from sketchprep.datasets.schema import INDEX
from sketchprep.errors import UserError
from sketchprep.io.object_store import Url, location
from sketchprep.io.tables import TableFile, mapped, row_at, rows_of, spread_rows, tables

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.torch_pairs import TorchPairs

__all__ = ["Pair", "PairDataset", "open_pairs"]

OPEN_TARS = 64
HELD_ROWS = 100_000
FEW_ROWS = 20  # read one by one from a long index, before a copy of it is made that gives any row at once


class PairDataset:
    """A built dataset as a sequence of pairs; a slice of it is one too.

    The index is held in memory as Arrow columns; one of more than `HELD_ROWS` rows is memory-mapped from the cache.
    The object is picklable: worker processes open index and tars anew.

    Parameters
    ----------
    folder : path or URL
        The dataset; of one in a store the index is kept in the cache, and each pair is one request.
    split : str, optional
        Only this split.
    spread : int, optional
        Only so many pairs, spread evenly over the dataset; the rest of the index is not read.

    Raises
    ------
    UserError
        If the folder holds no dataset, an unfinished one, or no such split.

    Examples
    --------
    >>> pairs = open_pairs("out/portraits", split="train")  # doctest: +SKIP
    >>> pairs[0].photo.shape  # doctest: +SKIP
    (512, 512, 3)
    >>> loader = torch.utils.data.DataLoader(pairs.torch(), batch_size=8, shuffle=True)  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str], split: str | None = None, spread: int | None = None) -> None:
        self.folder = location(folder)
        self.split = split
        self._here = view(folder, index_only=True)
        self._url = url_of(self._here)
        self._index = self._here / "index.parquet"
        if not self._index.is_file():
            planned = (self._here / "plan.parquet").is_file()
            raise UserError(
                f"{self.folder}: the build is not finished; run the same `sketchprep build` command again"
                if planned
                else f"{self.folder}: holds no dataset (index.parquet is missing); make one with `sketchprep build`"
            )
        self._tars: dict[str, int] = {}
        self._opened: pa.Table | None = None  # rows that can be read from the index again
        self._selected: pa.Table | None = None  # rows that were chosen out of it
        self._read_singly = 0  # rows of a long index
        if spread is not None:
            self._selected = spread_rows(self._index, spread, INDEX)
        self._runs = _runs(self._index, split)  # stretches of the index: first row, and the row behind the last
        self._count = sum(end - first for first, end in self._runs)
        if split is not None and not self._count:
            parts = tables(self._index, ["split"], kind=INDEX)
            known = sorted({name for part in parts for name in part["split"].to_pylist()})
            raise UserError(
                f"{self.folder}: has no split '{split}', only {', '.join(known) or 'none'}; name one that is there, or "
                "build a new folder that keeps one photo in ten for testing: --set split.test=1000 --set split.of=10000"
            )

    @property
    def table(self) -> pa.Table:
        """The rows as one Arrow table."""
        if self._selected is not None:
            return self._selected
        if self._opened is None:
            self._opened = _rows(self._index, self._runs)
        return self._opened

    @table.setter
    def table(self, rows: pa.Table) -> None:
        self._selected = rows

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe."""
        return read_recipe(self._here)["recipe"]

    @property
    def size(self) -> int:
        """Height and width of the frame in pixels."""
        return self.recipe["size"]

    @property
    def stages(self) -> list[str]:
        """Names of the stored pictures beside the photo, the final sketch first."""
        return ["sketch", *(s for s in self.recipe["store"])]

    def __len__(self) -> int:
        return self._count if self._selected is None else len(self._selected)

    def __repr__(self) -> str:
        split = f", split={self.split!r}" if self.split else ""
        return f"PairDataset({str(self.folder)!r}{split}, {len(self):,} pairs of {self.size} px)"

    @overload
    def __getitem__(self, number: int) -> Pair: ...

    @overload
    def __getitem__(self, number: slice) -> PairDataset: ...

    def __getitem__(self, number: int | slice) -> Pair | PairDataset:
        if isinstance(number, slice):
            numbers = range(len(self))[number]
            neighbours = numbers.step == 1
            rows = self.table.slice(numbers.start, len(numbers)) if neighbours else self.table.take(list(numbers))
            chosen = copy.copy(self)
            chosen._tars, chosen._selected = {}, rows
            return chosen
        if not -len(self) <= number < len(self):
            raise IndexError(f"pair {number} of {len(self)}")
        return self._pair(self._row(number % len(self)))

    def _row(self, number: int) -> pa.Table:
        """One row of the table, without the copy of a long index as long as only few rows are asked for."""
        few = self._selected is None and self._opened is None and self._read_singly < FEW_ROWS
        if not few or rows_of(self._index, INDEX) <= HELD_ROWS:
            return self.table.slice(number, 1)
        self._read_singly += 1
        for first, end in self._runs:
            if number < end - first:
                return row_at(self._index, first + number, INDEX)
            number -= end - first
        raise IndexError(number)

    def _pair(self, rows: pa.Table) -> Pair:
        row = rows.to_pylist()[0]
        if not is_shard_name(row["shard"]):
            raise UserError(f"{self._index}: is damaged (no shard is called {row['shard']!r}); {INDEX.remedy}")
        if self._url is not None:
            return Pair(row, _read_from_store(self._url, row))
        descriptor = self._open(row["shard"])
        return Pair(row, {m["name"]: _read_exactly(descriptor, m["size"], m["offset"], row) for m in row["members"]})

    def find(self, id: str, source: str | None = None) -> Pair:
        """Return the pair of a photo by its id, and by its source where several have that id.

        Raises
        ------
        KeyError
            If there is none.
        """
        import pyarrow.compute as pc

        wanted = {"id": id, "source": source, "split": self.split}
        wanted = {column: value for column, value in wanted.items() if value is not None}
        if self._selected is None and self._opened is None:  # row groups whose bounds exclude the id are not read
            rows = _filtered(self._index, wanted)
        else:
            masks = [pc.equal(self.table[column], value) for column, value in wanted.items()]
            first = pc.index(functools.reduce(pc.and_, masks), value=True).as_py()
            rows = self.table.slice(first if first >= 0 else len(self), 1)
        if not len(rows):
            raise KeyError(f"{self.folder} has no pair {id!r}" + (f" of {source}" if source else ""))
        return self._pair(rows.slice(0, 1))

    def torch(
        self, fields: Sequence[str] = ("photo", "sketch"), transform: Callable[[dict[str, Any]], Any] | None = None
    ) -> TorchPairs:
        """These pairs as a map-style ``torch.utils.data.Dataset``; see `sketchprep.datasets.torch_pairs.TorchPairs`."""
        from sketchprep.datasets.torch_pairs import TorchPairs

        return TorchPairs(self, fields, transform)

    def __iter__(self) -> Iterator[Pair]:
        for number in range(len(self)):
            yield self[number]

    def _open(self, shard: str) -> int:
        descriptor = self._tars.pop(shard, None)
        if descriptor is None:
            if len(self._tars) >= OPEN_TARS:
                os.close(self._tars.pop(next(iter(self._tars))))
            path = self.folder / "shards" / f"{shard}.tar"
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror}); see `sketchprep verify`") from None
        self._tars[shard] = descriptor
        return descriptor

    def close(self) -> None:
        """Close the tars that are open."""
        while self._tars:
            os.close(self._tars.popitem()[1])

    def __del__(self) -> None:
        # When Python ends, modules may be gone before their users; the descriptors go with the process.
        if hasattr(self, "_tars") and os is not None:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tars": {}, "_opened": None}


def _runs(index: Path, split: str | None) -> list[tuple[int, int]]:
    """Stretches of an index with the rows of a split, or of all; groups of rows of one split are not read."""
    import numpy as np
    import pyarrow.compute as pc

    if split is None:
        return [(0, rows_of(index, INDEX))]
    edges: list[int] = []  # where a stretch begins, and where it ends, in turn
    with TableFile(index, INDEX) as file:
        first = 0
        for group, rows in enumerate(file.groups):
            bounds = file.bounds(group, "split")
            if bounds is not None and bounds[0] == bounds[1]:
                inside = np.full(1, bounds[0] == split)
            else:
                inside = pc.equal(file.read(group, ["split"])["split"], split).to_numpy()
            changes = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=len(edges) % 2))
            edges += (changes + first).tolist()
            first += rows
    if len(edges) % 2:
        edges.append(first)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _rows(index: Path, runs: list[tuple[int, int]]) -> pa.Table:
    """Stretches of an index: held, or memory-mapped if the index is long."""
    import pyarrow as pa

    with TableFile(index, INDEX) as file:
        long = file.metadata.num_rows > HELD_ROWS
        table = mapped(index, _cached(index), INDEX) if long else file.read_all()
    return pa.concat_tables([table.slice(first, end - first) for first, end in runs])  # copies nothing


def _filtered(index: Path, wanted: Mapping[str, str | None]) -> pa.Table:
    """Rows of an index with such values; row groups whose bounds exclude them are not read."""
    import pyarrow.parquet as pq

    with INDEX.damage(index):
        rows = pq.read_table(index, filters=[(name, "==", value) for name, value in wanted.items()], use_threads=False)
    return INDEX.checked(rows, index)


def _cached(index: Path) -> Path:
    """Where the memory-mapped copy of an index is; copies of earlier contents and of lost indexes are removed."""
    from sketchprep.core.weights import cache_folder

    status, place = index.stat(), os.fsencode(index.resolve())
    folder = cache_folder() / "indexes" / hashlib.sha256(place).hexdigest()[:16]
    path = folder / f"{status.st_size}-{status.st_mtime_ns}.arrow"
    if not path.is_file():  # several processes may be here at once: each makes the same copy
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index").write_bytes(place)
        for earlier in set(folder.glob("*.arrow")) - {path}:
            earlier.unlink(missing_ok=True)
        for note in folder.parent.glob("*/index"):
            with contextlib.suppress(FileNotFoundError):
                recorded = note.read_bytes()
                if recorded and not os.path.exists(recorded):
                    shutil.rmtree(note.parent, ignore_errors=True)
    return path


def open_pairs(folder: str | os.PathLike[str], split: str | None = None) -> PairDataset:
    """Open a built dataset for random access; see `PairDataset`."""
    return PairDataset(folder, split)


def _read_from_store(url: Url, row: dict[str, Any]) -> dict[str, bytes]:
    """A pair's members, which lie side by side, in one request."""
    from sketchprep.io import object_store

    first = min(m["offset"] for m in row["members"])
    size = max(m["offset"] + m["size"] for m in row["members"]) - first
    try:
        data = object_store.read(url / f"shards/{row['shard']}.tar", first, size)
    except FileNotFoundError:
        data = b""
    if len(data) != size:
        raise UserError(f"{url}: shard {row['shard']} is cut short or missing; see `sketchprep verify {url}`")
    return {m["name"]: data[m["offset"] - first :][: m["size"]] for m in row["members"]}


def _read_exactly(descriptor: int, size: int, offset: int, row: dict[str, Any]) -> bytes:
    sound = 0 <= size <= os.fstat(descriptor).st_size and 0 <= offset < 2**63
    data = os.pread(descriptor, size, offset) if sound else b""
    if not sound or len(data) != size:
        raise UserError(f"shard {row['shard']} is cut short at pair {row['id']!r}; see `sketchprep verify`")
    return data
