"""What may change after planning: photos that come, and files that are mended.  Everything else is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.datasets import plan
from sketchprep.datasets.build import planner
from sketchprep.datasets.build.listing import Listing
from sketchprep.datasets.sources.tables import samples_of
from sketchprep.errors import UserError
from sketchprep.io.files import atomic
from sketchprep.io.tables import tables

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.base import Source
    from sketchprep.records import Sample

__all__ = ["check_listing", "rehash"]


@dataclass(frozen=True)
class _Sizes:
    """Samples by key, in order: eight bytes of (source, id), and the size in bytes."""

    keys: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, batches: Iterator[pa.Table]) -> _Sizes:
        keys, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for batch in batches:
            keys.append(_keys(batch))
            sizes.append(batch["size"].to_numpy())
        joined = np.concatenate(keys)
        keys.clear()
        order = np.argsort(joined)
        joined = joined[order]
        counted = np.concatenate(sizes)
        sizes.clear()
        return cls(joined, counted[order])

    def lacking(self, other: _Sizes) -> np.ndarray:
        """Keys that only the other has."""
        return other.keys[~self._places(other)[1]]

    def changed(self, other: _Sizes) -> np.ndarray:
        """Keys that both have, with different sizes."""
        at, there = self._places(other)
        return other.keys[there][self.sizes[at[there]] != other.sizes[there]]

    def _places(self, other: _Sizes) -> tuple[np.ndarray, np.ndarray]:
        if not len(self.keys):
            return np.zeros(len(other.keys), np.int64), np.zeros(len(other.keys), bool)
        at = np.minimum(np.searchsorted(self.keys, other.keys), len(self.keys) - 1)
        return at, self.keys[at] == other.keys


def check_listing(
    planned: pa.Table | Path,
    listing: Listing,
    *,
    extend: bool,
    mended: Collection[tuple[str, str]] = frozenset(),
) -> int:
    """Compare what the sources offer now with what was planned.

    Both are read once where they agree; sixteen bytes a sample are held.

    Parameters
    ----------
    planned : pyarrow.Table or Path
        The plan.
    listing : Listing
        What is there now.
    extend : bool
        Whether new samples are welcome.
    mended : collection of (source, id)
        Samples that failed and may have changed since.

    Returns
    -------
    int
        Number of new samples; 0 unless `extend` is set.

    Raises
    ------
    UserError
        If samples vanished or changed their size, or if new ones came and `extend` is not set.
    """
    then, now = _Sizes.of(_planned(planned)), _Sizes.of(batch for _, batch in listing.batches())
    gone, new = now.lacking(then), then.lacking(now)
    changed = np.setdiff1d(then.changed(now), np.fromiter(map(hash, mended), np.int64))
    if len(gone) or len(changed):
        what = f"{len(gone)} planned photos are gone" if len(gone) else f"{len(changed)} photos changed their size"
        first = _first(_planned(planned), gone if len(gone) else changed)
        raise UserError(
            f"the source is not what was planned: {what} (first: {first!r}); "
            "put them back as they were, accept mended files that had failed with --retry-failed, "
            "or build into a new folder with -o"
        )
    if len(new) and not extend:
        first = _first((batch for _, batch in listing.batches()), new)
        raise UserError(
            f"the source has {len(new)} photos that were not planned (first: {first!r}); "
            "add --extend to append them as new shards, or build into a new folder with -o"
        )
    return len(new)


def rehash(path: Path, sources: Sequence[Source], keys: Collection[tuple[str, str]]) -> None:
    """Take over size and sha256 of samples whose files were mended after they had failed, in a ``plan.parquet``."""
    import pyarrow as pa

    by_name = {source.name: source for source in sources}
    wanted = {name for name, _ in keys}
    listing = Listing(tuple(source for source in sources if source.name in wanted))
    now = {(s.source, s.id): s for s in _picked(listing, keys)}
    with atomic(path) as temporary, plan.row_groups(temporary) as groups:
        for table in tables(path):
            found = [now.get(key) for key in zip(plan.column(table, "source"), plan.column(table, "id"), strict=True)]
            if any(found):
                sizes, digests = plan.column(table, "size"), plan.column(table, "sha256")
                for number, sample in enumerate(found):
                    if sample is not None:
                        sizes[number] = sample.size
                        digests[number] = planner.hash_samples([sample], by_name[sample.source])[0]
                for name, values in (("size", sizes), ("sha256", digests)):
                    at = table.column_names.index(name)
                    table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
            groups.add(table)


def _planned(planned: pa.Table | Path) -> Iterator[pa.Table]:
    import pyarrow.compute as pc

    for table in tables(planned, ["source", "id", "size", "path"]):
        yield table.filter(pc.is_valid(table["path"]))


def _picked(listing: Listing, keys: Collection[tuple[str, str]]) -> Iterator[Sample]:
    for _, batch in listing.batches():
        pairs = zip(plan.column(batch, "source"), plan.column(batch, "id"), strict=True)
        inside = [number for number, key in enumerate(pairs) if key in keys]
        yield from samples_of(batch.take(inside)) if inside else ()


def _keys(batch: pa.Table) -> np.ndarray:
    """Python's own hash of (source, id): the same as long as this process lives."""
    pairs = zip(plan.column(batch, "source"), plan.column(batch, "id"), strict=True)
    return np.fromiter(map(hash, pairs), np.int64, len(batch))


def _first(batches: Iterator[pa.Table], keys: np.ndarray) -> str | None:
    for batch in batches:
        found = np.flatnonzero(np.isin(_keys(batch), keys))
        if len(found):
            return batch["id"][int(found[0])].as_py()
    return None
