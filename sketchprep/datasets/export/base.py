"""The base class of export layouts: files written once, named by ordinal, and the table of ids."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.io import images, shards
from sketchprep.io.files import atomic, write_once
from sketchprep.ops.resize import resize
from sketchprep.records import Failure

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair, PairDataset

__all__ = ["Exporter", "Outcome", "member", "picture", "picture_bytes"]

SPLITS = ("train", "val", "test")
EXTENSIONS = {"photo": ("jpg", "png"), "sketch": ("png",), "labels": ("png",)}
LIGHT = ("ordinal", "id", "source", "split", "members")


@dataclass
class Outcome:
    """Pairs written now and found there already, and why others are missing."""

    written: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)


class Exporter:
    """One layout, being written from one dataset.

    Parameters
    ----------
    pairs : PairDataset
    numbers : sequence of int
        The pairs to take.
    out : Path
    size : int
        Height and width of the pictures, at most the dataset's.

    Attributes
    ----------
    name : str
    """

    name: ClassVar[str]

    def __init__(self, pairs: PairDataset, numbers: Sequence[int], out: Path, size: int) -> None:
        self.pairs, self.numbers, self.out, self.size = pairs, numbers, out, size
        self._light = pairs.table.select(list(LIGHT))

    def check(self) -> None:
        """Raise UserError if the dataset does not suit the layout."""

    def paths(self, row: Mapping[str, Any]) -> list[str]:
        """Return the files that a pair becomes, relative to the folder; `row` has the columns `LIGHT`.

        A layout that does not write file by file leaves this as it is and defines `run`.
        """
        return []

    def contents(self, pair: Pair) -> list[bytes]:
        """Return the contents of these files, in the same order.

        Raises
        ------
        SampleError
            If the pair cannot be used.
        """
        return []

    def finish(self, failed: Set[int]) -> None:
        """Write tables once all files are there; `failed` are ordinals."""
        self.write_ids(failed)

    def command(self) -> str:
        """Return the peer's training command."""
        return ""

    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader of the result should know."""
        return ()

    def run(self, display: Any) -> Outcome:
        """Write what is missing; files that are there were renamed into place whole and are left alone."""
        for stale in self.out.rglob(".*.tmp"):  # of a run that was killed; the folder is ours alone
            stale.unlink()
        outcome = Outcome()
        failures: list[tuple[dict[str, Any], SampleError]] = []
        for number in self.numbers:
            row = self._light.slice(number, 1).to_pylist()[0]
            targets = [self.out / path for path in self.paths(row)]
            if all(target.is_file() for target in targets):
                outcome.skipped += 1
            else:
                try:
                    for target, data in zip(targets, self.contents(self.pairs[number]), strict=True):
                        write_once(target, data)
                    outcome.written += 1
                except SampleError as error:
                    failures.append((row, error))
            if display is not None:
                display.update(1)
        self.finish({row["ordinal"] for row, _ in failures})
        outcome.failures = [Failure(r["id"], r["source"], "export", e.kind, e.message) for r, e in failures]
        return outcome

    def rows(self, columns: Sequence[str], failed: Set[int] = frozenset()) -> Iterator[dict[str, Any]]:
        """Iterate over the exported pairs' values in some columns, a few thousand in memory at a time."""
        chosen = self.pairs.table.select(list(columns)).take(list(self.numbers))
        for batch in chosen.to_batches(max_chunksize=4096):
            yield from (row for row in batch.to_pylist() if row["ordinal"] not in failed)

    def write_ids(self, failed: Set[int]) -> None:
        """Write ``ids.csv``: which pair each file name stands for."""
        with (
            atomic(self.out / "ids.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(("key", "id", "source", "split"))
            for row in self.rows(LIGHT[:4], failed):
                writer.writerow((shards.key(row["ordinal"]), row["id"], row["source"], row["split"]))

    @property
    def dataset_name(self) -> str:
        """The recipe's name."""
        return str(self.pairs.recipe["name"])

    def splits(self) -> list[str]:
        """The splits that occur among the exported pairs."""
        present = set(self.pairs.table["split"].take(list(self.numbers)).to_pylist())
        return [split for split in SPLITS if split in present]


def quoted(path: Path) -> str:
    """A path as it is typed in a shell; absolute, for the peer's command runs in the peer's own folder."""
    return shlex.quote(str(path.resolve()))


def member(row: Mapping[str, Any], name: str) -> str | None:
    """File name of a stored picture, for instance ``photo.jpg`` for ``photo``; None if the pair has none.

    Raises
    ------
    UserError
        If the index holds a split or an ending that no build writes: names become paths.
    """
    if row["split"] not in SPLITS:
        raise UserError(f"index.parquet: unknown split {row['split']!r}; known: {', '.join(SPLITS)}")
    for stored in row["members"]:
        stem, _, ending = stored["name"].rpartition(".")
        if stem == name:
            if ending not in EXTENSIONS[name]:
                raise UserError(f"index.parquet: {name} of pair {row['id']!r} ends in .{ending}; rebuild the dataset")
            return str(stored["name"])
    return None


def needed(row: Mapping[str, Any], name: str) -> str:
    """As `member`, for a picture that every pair has."""
    stored = member(row, name)
    if stored is None:
        raise UserError(f"index.parquet: pair {row['id']!r} has no {name}; rebuild the dataset")
    return stored


def picture(pair: Pair, name: str, size: int) -> np.ndarray:
    """Decode a stored photo or sketch and bring it to a size."""
    image = pair[name]
    if image.shape[0] != image.shape[1]:
        raise SampleError("size", f"the stored {name} is {image.shape[1]}×{image.shape[0]} px")
    return image if len(image) == size else resize(image, (size, size))


def picture_bytes(pair: Pair, name: str, size: int, stored: int) -> bytes:
    """A stored photo or sketch as a file: its own bytes where the size fits, else encoded again in the same format.

    Parameters
    ----------
    size, stored : int
        Wanted, and the dataset's.
    """
    file = needed(pair.row, name)
    if size == stored:
        return pair.files[file]
    image = picture(pair, name, size)
    return images.encode_jpeg(image) if file.endswith(".jpg") else images.encode_png(image)


def side_by_side(left: np.ndarray, right: np.ndarray) -> bytes:
    """Two pictures of one height as one PNG, so that neither the lines nor the photo are compressed a second time."""
    both = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in (left, right)]
    return images.encode_png(np.hstack(both))
