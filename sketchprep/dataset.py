"""Random access to a built dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Pair", "Pairs", "open_pairs"]

OPEN_TARS = 64


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
        from sketchprep import imageio

        for member, data in self.files.items():
            if member.rsplit(".", 1)[0] == name and not member.endswith(".json"):
                return imageio.decode(data) if name == "photo" else imageio.decode_gray(data)
        raise KeyError(f"pair {self.id!r} stores no '{name}', only {', '.join(self.files)}")


class Pairs:
    """A built dataset as a sequence of pairs.

    Only the index is held in memory, as Arrow columns.  The object is picklable: worker processes open the tars anew.

    Parameters
    ----------
    folder : path
        The dataset.
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
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        self.folder = Path(folder)
        self.split = split
        path = self.folder / "index.parquet"
        if not path.is_file():
            planned = (self.folder / "plan.parquet").is_file()
            raise UserError(
                f"{self.folder}: the build is not finished; run the same `sketchprep build` command again"
                if planned
                else f"{self.folder}: holds no dataset (index.parquet is missing); make one with `sketchprep build`"
            )
        table = pq.read_table(path) if spread is None else _read_spread(path, spread)
        if split is not None:
            known = sorted(set(table["split"].to_pylist()))
            table = table.filter(pc.equal(table["split"], split))
            if not len(table):
                raise UserError(f"{self.folder}: has no split '{split}', only {', '.join(known) or 'none'}")
        self.table: pa.Table = table
        self._tars: dict[str, int] = {}

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe."""
        return read_recipe(self.folder)["recipe"]

    @property
    def size(self) -> int:
        """Height and width of the frame in pixels."""
        return self.recipe["size"]

    @property
    def stages(self) -> list[str]:
        """Names of the stored pictures beside the photo, the final sketch first."""
        return ["sketch", *(s for s in self.recipe["store"])]

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> Pair:
        if not -len(self) <= number < len(self):
            raise IndexError(f"pair {number} of {len(self)}")
        row = self.table.slice(number % len(self), 1).to_pylist()[0]
        descriptor = self._open(row["shard"])
        files = {m["name"]: _read_exactly(descriptor, m["size"], m["offset"], row) for m in row["members"]}
        return Pair(row, files)

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
        if hasattr(self, "_tars"):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tars": {}}


def _read_spread(path: Path, count: int) -> pa.Table:
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


def open_pairs(folder: str | os.PathLike[str], split: str | None = None) -> Pairs:
    """Open a built dataset for random access; see `Pairs`."""
    return Pairs(folder, split)


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


def _read_exactly(descriptor: int, size: int, offset: int, row: dict[str, Any]) -> bytes:
    data = os.pread(descriptor, size, offset)
    if len(data) != size:
        raise UserError(f"shard {row['shard']} is cut short at pair {row['id']!r}; see `sketchprep verify`")
    return data
