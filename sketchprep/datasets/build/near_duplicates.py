"""Near-duplicates: the same photo saved again, at another quality or size or mirrored, found by perceptual hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.datasets.schema import PLAN, plan_schema
from sketchprep.datasets.sources.tables import samples_of
from sketchprep.errors import SampleError
from sketchprep.io.perceptual import MIRRORED, likeness
from sketchprep.io.tables import tables

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.base import Source
    from sketchprep.records import Sample

__all__ = ["MOST_PHOTOS", "First", "NearDuplicates", "first_alike"]

# Beyond so many photos they are not looked for; the search grows faster than their number.
MOST_PHOTOS = 200_000
# Copies of 300 aligned portraits (JPEG quality 20 to 90, a third to nearly three times the size, mirrored) differ in at
# most 5 bits, and their thumbnails correlate by 0.988 and more.  Of 5,600 portraits 75 pairs differ in so few bits;
# those of them that are two photos correlate by less than 0.94.
MOST_BITS, LEAST_LIKENESS = 6, 0.96
BANDS = MOST_BITS + 1  # hashes that differ in fewer bits than there are bands agree in one of these
HELD_THUMBNAILS = 4096


@dataclass(frozen=True, slots=True)
class First:
    """The first photo of a group: its id, and its number in this plan or the split that an earlier one gave it."""

    id: str
    number: int | None = None
    split: str | None = None


class NearDuplicates:
    """Looks through the photos of a plan, and of the one that it extends.

    Parameters
    ----------
    sources : mapping of str to Source
        By name; photos that may be alike are opened again.
    before : pyarrow.Table or Path, optional
        The earlier plan.
    """

    def __init__(self, sources: Mapping[str, Source], before: pa.Table | Path | None = None) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._sources = sources
        columns = ["id", "source", "path", "sketch_path", "phash", "split", "shard"]
        planned = [] if before is None else [table.select(columns) for table in tables(before, columns, kind=PLAN)]
        rows = pa.concat_tables([plan_schema().empty_table().select(columns), *planned]).combine_chunks()
        self._before = rows.filter(pc.and_(pc.is_valid(rows["shard"]), pc.is_valid(rows["phash"])))

    def find(self, numbers: np.ndarray, hashes: np.ndarray, sample: Callable[[int], Sample]) -> dict[int, First]:
        """Find the photos that show what an earlier one shows.

        Parameters
        ----------
        numbers : ndarray of int, shape (N,)
            Of the photos in the plan, ascending.
        hashes : ndarray of uint64, shape (N,)
        sample : callable
            Number to sample.

        Returns
        -------
        dict of int to First
            By number.
        """
        before, count = self._before, len(self._before)

        def at(position: int) -> Sample:
            if position >= count:
                return sample(int(numbers[position - count]))
            return samples_of(before.slice(position, 1).drop_columns(["split"]))[0]

        def thumbnail(position: int) -> np.ndarray:
            one = at(position)
            return self._sources[one.source].thumbnail(one)

        found = {}
        for position, first in first_alike(np.concatenate([before["phash"].to_numpy(), hashes]), thumbnail).items():
            if position >= count:
                number = int(numbers[first - count]) if first >= count else None
                split = before["split"][first].as_py() if first < count else None
                found[int(numbers[position - count])] = First(at(first).id, number, split)
        return found


def first_alike(hashes: np.ndarray, thumbnail: Callable[[int], np.ndarray]) -> dict[int, int]:
    """Find the photos that show what an earlier one shows.

    Hashes propose pairs; thumbnails, for which these photos are opened again, decide.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (N,)
        In the order of the photos.
    thumbnail : callable
        Position to thumbnail; may raise SampleError.

    Returns
    -------
    dict of int to int
        Position to the first position of the same group; the first ones themselves are not in it.
    """
    same = lru_cache(HELD_THUMBNAILS)(thumbnail)
    first: dict[int, int] = {}

    def root(number: int) -> int:
        while number in first:
            number = first[number]
        return number

    for one, other in _candidates(hashes):
        low, high = sorted((root(one), root(other)))
        if low != high and _alike(same, one, other):
            first[high] = low
    return {number: root(number) for number in sorted(first)}


def _alike(thumbnail: Callable[[int], np.ndarray], one: int, other: int) -> bool:
    try:
        return likeness(thumbnail(one), thumbnail(other)) >= LEAST_LIKENESS
    except SampleError:
        return False


def _candidates(hashes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of positions whose hashes, or one's hash and the other's mirror image's, differ in few bits.

    Photos of equal hashes are paired with the first of them only: a thousand frames of a film give no million pairs.
    """
    unique, at, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    for number in np.flatnonzero(at[inverse] != np.arange(len(hashes))):
        yield int(at[inverse[number]]), int(number)
    images = np.concatenate([unique, unique ^ np.uint64(MIRRORED)])
    seen: set[tuple[int, int]] = set()
    for bucket in _buckets(images):
        plain = bucket[bucket < len(unique)]
        for number in plain:
            near = bucket[np.bitwise_count(images[bucket] ^ images[number]) <= MOST_BITS] % len(unique)
            seen |= {(min(a, b), max(a, b)) for a, b in ((int(at[number]), int(at[n])) for n in near) if a != b}
    yield from sorted(seen)


def _buckets(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of hashes that agree in one of the bands, of two and more."""
    edges = np.linspace(0, 64, BANDS + 1).round().astype(int).tolist()
    for low, high in pairwise(edges):
        keys = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[:1]] + np.uint64(1)))
        yield from (group for group in np.split(order, starts[1:]) if len(group) > 1)
