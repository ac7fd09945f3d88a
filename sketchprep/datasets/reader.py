"""Random access to a built dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.datasets.longindex import LongIndex, read_spread
from sketchprep.datasets.remote import url_of, view
from sketchprep.errors import UserError
from sketchprep.io.object_store import Url, location
from sketchprep.io.tables import rows_of, tables

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Pair", "PairDataset", "open_pairs"]

OPEN_TARS = 64
HELD_ROWS = 100_000


@dataclass(frozen=True)
class Pair:
    """One pair of a dataset, its pictures decoded when they are asked for.

    Attributes
    ----------
    row : dict
        The pair's row of ``index.parquet``: id, source, split, attributes, pose, windows and so on.
    files : dict of str to bytes
        The stored files by member name, for instance ``"photo.jpg"`` or ``"sketch.png"``.
    """

    row: dict[str, Any]
    files: dict[str, bytes]

    @property
    def id(self) -> str:
        return self.row["id"]

    @property
    def ordinal(self) -> int:
        return self.row["ordinal"]

    @property
    def split(self) -> str:
        return self.row["split"]

    @cached_property
    def photo(self) -> np.ndarray:
        """RGB uint8, shape (size, size, 3)."""
        return self["photo"]

    @cached_property
    def sketch(self) -> np.ndarray:
        """Grey uint8, shape (size, size), black ink on white."""
        return self["sketch"]

    @cached_property
    def landmarks(self) -> np.ndarray | None:
        """The 68 landmarks, float32, shape (68, 2): (x, y) in pixels of the frame; None where there are none."""
        import numpy as np

        flat = self.row["landmarks"]
        return None if flat is None else np.asarray(flat, np.float32).reshape(68, 2)

    def __getitem__(self, name: str) -> np.ndarray:
        """Decode a stored picture by its stage: ``"photo"``, ``"sketch"``, ``"hed"``, ``"labels"`` and so on."""
        from sketchprep.io import images

        for member, data in self.files.items():
            if member.rsplit(".", 1)[0] == name and not member.endswith(".json"):
                return images.decode(data) if name == "photo" else images.decode_gray(data)
        raise KeyError(f"pair {self.id!r} stores no '{name}', only {', '.join(self.files)}")


class PairDataset:
    """A built dataset as a sequence of pairs.

    The index is held in memory as Arrow columns; of one with more than `HELD_ROWS` rows, a few row groups are, and
    pairs are quick to reach in their order, not in a random one.  The object is picklable: worker processes open the
    tars anew.

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
    """

    def __init__(self, folder: str | os.PathLike[str], split: str | None = None, spread: int | None = None) -> None:

        self.folder = location(folder)
        self.split = split
        self._here = view(folder, index_only=True)
        self._url = url_of(self._here)
        path = self._here / "index.parquet"
        if not path.is_file():
            planned = (self._here / "plan.parquet").is_file()
            raise UserError(
                f"{self.folder}: the build is not finished; run the same `sketchprep build` command again"
                if planned
                else f"{self.folder}: holds no dataset (index.parquet is missing); make one with `sketchprep build`"
            )
        self._tars: dict[str, int] = {}
        self._table: pa.Table | None = None
        self._long: LongIndex | None = None
        if spread is None and rows_of(path) > HELD_ROWS:
            self._long = LongIndex(path, split)
            known = self._long.splits
        else:
            parts = tables(path) if spread is None else [read_spread(path, spread)]
            self._table, known = _of_split(parts, split)
        if split is not None and not len(self):
            raise UserError(f"{self.folder}: has no split '{split}', only {', '.join(sorted(known)) or 'none'}")

    @property
    def table(self) -> pa.Table:
        """The rows as one Arrow table; of a long index it is read whole when it is first asked for."""
        if self._table is None and self._long is not None:
            self._table, self._long = self._long.table(), None
        return self._table

    @table.setter
    def table(self, rows: pa.Table) -> None:
        self._table, self._long = rows, None

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
        return len(self.table if self._long is None else self._long)

    def __getitem__(self, number: int) -> Pair:
        if not -len(self) <= number < len(self):
            raise IndexError(f"pair {number} of {len(self)}")
        number %= len(self)
        row = self.table.slice(number, 1).to_pylist()[0] if self._long is None else self._long.row(number)
        if self._url is not None:
            return Pair(row, _read_from_store(self._url, row))
        descriptor = self._open(row["shard"])
        files = {m["name"]: _read_exactly(descriptor, m["size"], m["offset"], row) for m in row["members"]}
        return Pair(row, files)

    def find(self, id: str, source: str | None = None) -> Pair:
        """Return the pair of a photo by its id, and by its source where several have that id.

        Raises
        ------
        KeyError
            If there is none.
        """
        if self._long is not None:
            number = self._long.find(id, source)
        else:
            import pyarrow.compute as pc

            wanted = pc.equal(self.table["id"], id)
            wanted = wanted if source is None else pc.and_(wanted, pc.equal(self.table["source"], source))
            number = pc.index(wanted, value=True).as_py()
            number = None if number < 0 else number
        if number is None:
            raise KeyError(f"{self.folder} has no pair {id!r}" + (f" of {source}" if source else ""))
        return self[number]

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
        return {**self.__dict__, "_tars": {}}


def _of_split(parts: Iterable[pa.Table], split: str | None) -> tuple[pa.Table, set[str]]:
    """Rows of a split, piece by piece, so that no others are held beside them; and the splits that there are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept, known = [], set[str]()
    for part in parts:
        known |= set(part["split"].unique().to_pylist())
        kept.append(part if split is None else part.filter(pc.equal(part["split"], split)))
    return pa.concat_tables(kept), known


def open_pairs(folder: str | os.PathLike[str], split: str | None = None) -> PairDataset:
    """Open a built dataset for random access; see `PairDataset`."""
    return PairDataset(folder, split)


def stored_environment(folder: Path) -> dict[str, Any]:
    """What ``recipe.yaml`` says the bytes depend on; empty where nothing was begun."""
    return dict(read_recipe(folder).get("depends_on") or {}) if (folder / "recipe.yaml").exists() else {}


def read_recipe(folder: Path) -> dict[str, Any]:
    """Read ``recipe.yaml`` of a dataset: ``recipe``, ``depends_on`` and ``hash``."""
    path = folder / "recipe.yaml"
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(
            f"{folder}: holds no dataset (recipe.yaml is missing); make one with `sketchprep build`"
        ) from None
    except yaml.YAMLError:
        raise UserError(f"{path}: is damaged; build into a new folder") from None


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
    data = os.pread(descriptor, size, offset)
    if len(data) != size:
        raise UserError(f"shard {row['shard']} is cut short at pair {row['id']!r}; see `sketchprep verify`")
    return data
