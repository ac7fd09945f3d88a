"""Photos of a dataset or a folder in training order, centre squares of one size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.ops.resize import resize
from sketchprep.training.visits import Visits

__all__ = ["Photos"]

LEAST = 2
_ARGUMENTS = ("data", "size", "split", "limit", "flip", "seed")


class Photos:
    """Photos in an order, and with mirrorings, that only depend on the seed; each epoch has every photo once.

    Picklable in few bytes; a worker process opens the dataset or the folder once.

    Parameters
    ----------
    data : path
        A built dataset, or a folder or zip with photos, at any depth.
    size : int
        Side in pixels: the centre square is resized to it.
    split : str
        Of a dataset; ``"all"`` for the whole.
    limit : int, optional
        Only the first photos.
    flip : bool
        Mirror every other photo, at random.
    seed : int

    Raises
    ------
    UserError
        If there are fewer than two photos, or smaller ones than `size` in a dataset.
    """

    def __init__(
        self,
        data: str | os.PathLike[str],
        *,
        size: int,
        split: str = "train",
        limit: int | None = None,
        flip: bool = True,
        seed: int = 0,
    ) -> None:
        self.size, self.flip, self.seed = size, flip, seed
        self._given = tuple(zip(_ARGUMENTS, (str(data), size, split, limit, flip, seed), strict=True))
        if not Path(data).exists():
            raise UserError(f"--data {data}: is not there; name a built dataset, or a folder or zip with pictures")
        dataset = (Path(data) / "recipe.yaml").is_file()
        self._photos: _Dataset | _Folder = _Dataset(data, size, split, limit) if dataset else _Folder(data, limit)
        if len(self) < LEAST:
            raise UserError(f"--data {data}: has {len(self)} photos to train on; {LEAST} are needed at the very least")
        self._visits = Visits(len(self), seed)
        self.fixed(1)  # what cannot be read is better refused now

    def __len__(self) -> int:
        return len(self._photos)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._given,)

    def batch(self, visits: Sequence[int]) -> np.ndarray:
        """Photos of these visits: uint8, shape (B, 3, S, S), RGB.

        Raises
        ------
        UserError
            If one cannot be read.
        """
        return np.stack([self._varied(visit) for visit in visits])

    def fixed(self, count: int) -> np.ndarray:
        """The first photos, or as many as there are, unmirrored."""
        return np.stack([self._planes(number) for number in range(min(count, len(self)))])

    def describe(self) -> dict[str, Any]:
        """What decides the photos, as plain values."""
        return {"photos": len(self), "content": self._photos.content(), "size": self.size, "flip": self.flip}

    def _varied(self, visit: int) -> np.ndarray:
        planes = self._planes(self._visits.sample(visit))
        mirrored = self.flip and self._visits.random(visit).random() < 0.5
        return planes[..., ::-1] if mirrored else planes

    def _planes(self, number: int) -> np.ndarray:
        photo = self._photos.photo(number)
        side = min(photo.shape[:2])
        top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
        square = photo[top : top + side, left : left + side]
        return resize(square, (self.size, self.size)).transpose(2, 0, 1)


@lru_cache(maxsize=8)
def _opened(given: tuple[tuple[str, Any], ...]) -> Photos:
    return Photos(**dict(given))


class _Dataset:
    """The photos of a built dataset."""

    def __init__(self, data: str | os.PathLike[str], size: int, split: str, limit: int | None) -> None:
        from sketchprep.datasets.reader import open_pairs

        pairs = open_pairs(data, None if split == "all" else split)
        if pairs.size < size:
            raise UserError(
                f"--data {data}: its pictures have {pairs.size} px, fewer than size={size}; take a smaller one"
            )
        self._pairs = pairs[:limit]

    def __len__(self) -> int:
        return len(self._pairs)

    def photo(self, number: int) -> np.ndarray:
        pair = self._pairs[number]
        try:
            return pair.photo
        except SampleError as error:
            folder = self._pairs.folder
            raise UserError(f"{folder}: pair {pair.id!r}: {error}; see `sketchprep verify {folder}`") from None

    def content(self) -> str:
        """Checksum of the list of photos and of their bytes."""
        members = self._pairs.table["members"].combine_chunks().flatten()
        return _checksum([*self._pairs.table["id"].to_pylist(), *members.field("sha256").to_pylist()])


class _Folder:
    """The pictures below a folder, or in a zip."""

    def __init__(self, data: str | os.PathLike[str], limit: int | None) -> None:
        from sketchprep.datasets.sources import open_source

        self._source = open_source("folder", Path(data))
        self._samples = self._source.samples()[:limit]

    def __len__(self) -> int:
        return len(self._samples)

    def photo(self, number: int) -> np.ndarray:
        sample = self._samples[number]
        try:
            return self._source.load(sample)[1].photo
        except SampleError as error:
            raise UserError(
                f"{self._source.root}: {sample.id}: {error}; remove it, or build a dataset, which leaves out what "
                "cannot be read"
            ) from None

    def content(self) -> str:
        """Checksum of the names and sizes of the files."""
        return _checksum([f"{sample.id} {sample.size}" for sample in self._samples])


def _checksum(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
