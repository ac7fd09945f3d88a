"""The planning pass: which photos, which split, which shard.  Written once; nothing later moves a sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.datasets import plan
from sketchprep.datasets.build.plan_builder import PlanBuilder
from sketchprep.datasets.schema import FAILURE_COLUMNS, plan_schema
from sketchprep.datasets.sources.tables import samples_of
from sketchprep.errors import SampleError, UserError
from sketchprep.io import tables
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.base import Source
    from sketchprep.records import Failure, Sample
    from sketchprep.sketching.recipe import Recipe

__all__ = ["Listing", "hash_samples", "list_sources", "make_plan", "plan_samples", "write_plan"]

HASHED_AT_ONCE = 256


@dataclass(frozen=True)
class Listing:
    """The sources in the recipe's order, and how many samples of each are wanted at most.

    It is read anew each time, a batch after the other: with a list of ten million photos none of it is held.
    """

    sources: tuple[Source, ...]
    limit: int | None = None

    def count(self) -> int:
        """Number of samples."""
        return sum(source.count(self.limit) for source in self.sources)

    def batches(self) -> Iterator[tuple[Source, pa.Table]]:
        """Yield samples as the columns of `sketchprep.datasets.schema.sample_schema`, each batch with its source."""
        for source in self.sources:
            for batch in source.batches(self.limit):
                yield source, batch

    def refused(self) -> list[Failure]:
        """What was refused while listing."""
        return [failure for source in self.sources for failure in source.refused()]


def list_sources(sources: Sequence[Source], limit: int | None = None) -> Listing:
    """List every source in the recipe's order; with `limit`, only the first so many samples of each.

    Raises
    ------
    UserError
        If there is not one photo.
    """
    listing = Listing(tuple(sources), limit)
    if not listing.count():
        where = ", ".join(f"{s.name} in {s.root}" for s in sources)
        raise UserError(f"no photo was found ({where}); check --root, or see `sketchprep sources`")
    return listing


def plan_samples(
    recipe: Recipe,
    listing: Listing,
    *,
    before: pa.Table | Path | None = None,
    jobs: int = 1,
    hashing: bool = True,
    hashed: Callable[[int], Any] = lambda photos: None,
    folder: Path | None = None,
) -> PlanBuilder:
    """Judge what `listing` offers beyond the samples that `before` holds.

    Photos are hashed, exact duplicates dropped (the first wins), annotations checked, and what is left is split by
    the rank of sha256(seed, id) or as the corpus says.  Photos of a list are not opened: their digests are those that
    the list holds, if any.

    Parameters
    ----------
    before : pyarrow.Table or Path, optional
        A plan to be extended: its samples are left out, but known to the search for duplicates.  They are held.
    jobs : int
        Threads that read and hash.
    hashing : bool
        False opens no file: exact duplicates stay unknown.
    hashed : callable
        Called with a number of photos, for a progress bar.
    folder : Path, optional
        On whose disk the rows lie meanwhile.
    """
    planned, owners = _known(before)
    builder = PlanBuilder(recipe, folder, owners)
    for source, offered in listing.batches():
        batch = offered if before is None else _unplanned(offered, planned)
        if hashing and not source.listed:
            batch = _with_digests(batch, source, jobs, hashed)
        builder.add(_judged(recipe, batch))
    builder.assign_splits([f for f in listing.refused() if (f.source, f.id) not in planned])
    return builder


def write_plan(path: Path, builder: PlanBuilder, before: Path | None = None) -> None:
    """Write planned samples as ``plan.parquet``, after the rows of `before`."""
    with atomic(path) as temporary, plan.row_groups(temporary) as groups:
        for table in () if before is None else tables.tables(before):
            groups.add(table)
        for table in builder.tables(*_continued(before)):
            groups.add(table)


def make_plan(
    recipe: Recipe, listing: Listing, *, before: pa.Table | Path | None = None, hashing: bool = True
) -> pa.Table:
    """Return the rows of a planning pass as one table."""
    import pyarrow as pa

    with plan_samples(recipe, listing, before=before, hashing=hashing) as builder:
        return pa.concat_tables([plan_schema().empty_table(), *builder.tables(*_continued(before))]).combine_chunks()


def hash_samples(samples: Sequence[Sample], source: Source, jobs: int = 1) -> list[str | None]:
    """Digest of every sample, None where it cannot be read: the shard will say why, and may be retried."""

    def digest(sample: Sample) -> str | None:
        try:
            return source.digest(sample)
        except SampleError:
            return None

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        return list(pool.map(digest, samples))


def _known(before: pa.Table | Path | None) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """(source, id) of everything in a plan, and who had which bytes first."""
    planned: set[tuple[str, str]] = set()
    owners: dict[str, str] = {}
    for table in () if before is None else tables.tables(before, ["source", "id", "sha256"]):
        columns = [plan.column(table, name) for name in ("source", "id", "sha256")]
        planned |= set(zip(*columns[:2], strict=True))
        for _, id_, digest in zip(*columns, strict=True):
            if digest is not None:
                owners.setdefault(digest, id_)
    return planned, owners


def _continued(before: pa.Table | Path | None) -> tuple[int, dict[str, int]]:
    """The next ordinal, and how many shards each split has."""
    import pyarrow.compute as pc

    first, counts = 0, dict[str, int]()
    for table in () if before is None else tables.tables(before, ["ordinal"]):
        first = max(first, 1 + (-1 if (last := pc.max(table["ordinal"]).as_py()) is None else last))
    for name in () if before is None else plan.shard_names(before):
        split, number = name.rsplit("-", 1)
        counts[split] = max(counts.get(split, 0), int(number) + 1)
    return first, counts


def _unplanned(batch: pa.Table, planned: Collection[tuple[str, str]]) -> pa.Table:
    keys = zip(plan.column(batch, "source"), plan.column(batch, "id"), strict=True)
    return batch.filter([key not in planned for key in keys])


def _with_digests(batch: pa.Table, source: Source, jobs: int, hashed: Callable[[int], Any]) -> pa.Table:
    import pyarrow as pa

    samples, digests = samples_of(batch), list[str | None]()
    for at in range(0, len(samples), HASHED_AT_ONCE):
        hashes = hash_samples(samples[at : at + HASHED_AT_ONCE], source, jobs)
        digests += hashes
        hashed(len(hashes))
    return batch.set_column(batch.column_names.index("sha256"), "sha256", pa.array(digests, pa.string()))


def _judged(recipe: Recipe, batch: pa.Table) -> pa.Table:
    """Add why a sample is not wanted, by its source's annotations."""
    import pyarrow as pa

    from sketchprep.sketching.selection import check_annotations

    rules, types = recipe.select, plan_schema()
    limits = rules.pose.limits
    no_rule = not (rules.exclude_attributes or rules.require_attributes or limits)
    if no_rule or all(batch[name].null_count == len(batch) for name in ("attributes", "pose")):
        for name in FAILURE_COLUMNS:
            batch = batch.append_column(name, pa.nulls(len(batch), types.field(name).type))
        return batch
    columns: dict[str, list[Any]] = {name: [] for name in FAILURE_COLUMNS}
    for sample in samples_of(batch):
        error = check_annotations(
            sample,
            exclude_attributes=rules.exclude_attributes,
            require_attributes=rules.require_attributes,
            pose_limits=limits,
        )
        reason = (None,) * 4 if error is None else ("select", error.kind, error.message, error.rejected)
        for name, value in zip(FAILURE_COLUMNS, reason, strict=True):
            columns[name].append(value)
    for name, values in columns.items():
        batch = batch.append_column(name, pa.array(values, types.field(name).type))
    return batch
