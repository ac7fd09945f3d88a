"""The planning pass: which photos, which split, which shard.  Written once; nothing later moves a sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.datasets import plan
from sketchprep.datasets.build.near_duplicates import MOST_PHOTOS, NearDuplicates
from sketchprep.datasets.build.plan_builder import PlanBuilder
from sketchprep.datasets.left_out import LeftOut
from sketchprep.datasets.schema import FAILURE_COLUMNS, PLAN, plan_schema
from sketchprep.datasets.sources.tables import samples_of
from sketchprep.errors import SampleError, UserError
from sketchprep.io import tables
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.base import Fingerprint, Source
    from sketchprep.records import Failure, Sample
    from sketchprep.sketching.recipe import Recipe

__all__ = [
    "OWN_PICTURE",
    "Listing",
    "fingerprints",
    "known_samples",
    "list_sources",
    "looks_for_near_duplicates",
    "make_plan",
    "plan_samples",
    "unplanned",
    "write_plan",
]

HASHED_AT_ONCE = 256
# Values of FAILURE_COLUMNS.
NO_REASON = (None, None, None, None)
OWN_PICTURE = ("plan", "own-picture", "a sketch or a contact sheet that sketchprep wrote, no photo", True)


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

    def left_out(self) -> LeftOut:
        """What was met and is not offered, counted by reason."""
        found = LeftOut()
        for source in self.sources:
            found.update(source.left_out())
        return found


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
        reasons = listing.left_out().sentence()
        raise UserError(
            f"no photo was found ({where}); "
            + (f"left out: {reasons}" if reasons else "check --root, or see `sketchprep sources`")
        )
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
    the rank of sha256(seed, id) or as the corpus says.  Where there is more than one split, photos that show the same
    go to the same one.  Photos of a list are not opened: their digests are those that the list holds, if any.

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
    for source in listing.sources:
        _check_attribute_rules(recipe, source)
    planned, owners = known_samples(before)
    builder = PlanBuilder(recipe, folder, owners)
    perceptual = hashing and looks_for_near_duplicates(recipe, listing)
    for source, offered in listing.batches():
        batch = offered if before is None else unplanned(offered, planned)
        if recipe.split.method != "official" and not source.keeps_splits:
            batch = _with_column(batch, "split", [None] * len(batch))
        marked: list[int] = []
        if hashing and not source.listed:
            batch, marked = _with_digests(batch, source, jobs, hashed, perceptual=perceptual)
        builder.add(_judged(recipe, batch, marked))
    near = NearDuplicates({s.name: s for s in listing.sources}, before) if perceptual else None
    builder.assign_splits([f for f in listing.refused() if (f.source, f.id) not in planned], near)
    return builder


def looks_for_near_duplicates(recipe: Recipe, listing: Listing) -> bool:
    """Whether planning takes perceptual hashes: if there is a test split to keep clean, or if it is to drop them.

    Photos of a list are not opened, and the search is left away where it would take too long.
    """
    wanted, method = recipe.split.near_duplicates, recipe.split.method
    count = listing.count()
    if wanted == "ignore" or count > MOST_PHOTOS or all(source.listed for source in listing.sources):
        return False
    return wanted == "drop" or method == "official" or (method == "share" and recipe.split.test_count(count) > 0)


def write_plan(path: Path, builder: PlanBuilder, before: Path | None = None) -> None:
    """Write planned samples as ``plan.parquet``, after the rows of `before`."""
    with atomic(path) as temporary, plan.row_groups(temporary) as groups:
        for table in () if before is None else tables.tables(before, kind=PLAN):
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


def fingerprints(
    samples: Sequence[Sample], source: Source, jobs: int = 1, *, perceptual: bool = False
) -> list[Fingerprint | None]:
    """Fingerprint of every sample, None where it cannot be read: the shard will say why, and may be retried."""

    def fingerprint(sample: Sample) -> Fingerprint | None:
        try:
            return source.fingerprint(sample, perceptual=perceptual)
        except SampleError:
            return None

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        return list(pool.map(fingerprint, samples))


def known_samples(before: pa.Table | Path | None) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """(source, id) of everything in a plan, and who had which bytes first."""
    planned: set[tuple[str, str]] = set()
    owners: dict[str, str] = {}
    for table in () if before is None else tables.tables(before, ["source", "id", "sha256"], kind=PLAN):
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
    for table in () if before is None else tables.tables(before, ["ordinal"], kind=PLAN):
        first = max(first, 1 + (-1 if (last := pc.max(table["ordinal"]).as_py()) is None else last))
    for name in () if before is None else plan.shard_names(before):
        split, number = name.rsplit("-", 1)
        counts[split] = max(counts.get(split, 0), int(number) + 1)
    return first, counts


def unplanned(batch: pa.Table, planned: Collection[tuple[str, str]]) -> pa.Table:
    """Samples that are not planned yet."""
    keys = zip(plan.column(batch, "source"), plan.column(batch, "id"), strict=True)
    return batch.filter([key not in planned for key in keys])


def _with_digests(
    batch: pa.Table, source: Source, jobs: int, hashed: Callable[[int], Any], *, perceptual: bool
) -> tuple[pa.Table, list[int]]:
    """Add digests, and perceptual hashes if wanted; also return where pictures lie that sketchprep drew."""
    samples, found = samples_of(batch), list[Any]()
    for at in range(0, len(samples), HASHED_AT_ONCE):
        found += fingerprints(samples[at : at + HASHED_AT_ONCE], source, jobs, perceptual=perceptual)
        hashed(min(HASHED_AT_ONCE, len(samples) - at))
    batch = _with_column(batch, "sha256", [one and one.sha256 for one in found])
    if perceptual:
        batch = _with_column(batch, "phash", [one and one.phash for one in found])
    return batch, [number for number, one in enumerate(found) if one and one.marked]


def _with_column(batch: pa.Table, name: str, values: list[Any]) -> pa.Table:
    """Replace or add a column of a plan."""
    import pyarrow as pa

    column = pa.array(values, plan_schema().field(name).type)
    if name not in batch.column_names:
        return batch.append_column(name, column)
    return batch.set_column(batch.column_names.index(name), name, column)


def _check_attribute_rules(recipe: Recipe, source: Source) -> None:
    """Refuse rules on attributes where a source has a table of them, and no row of it belongs to a photo."""
    rules = [key for key in ("exclude_attributes", "require_attributes") if getattr(recipe.select, key)]
    if not rules or source.listed:
        return
    scan = source.scan()
    rows = scan.notes.get("annotations", {}).get("attribute rows", 0)
    if rows and scan.samples and all(sample.attributes is None for sample in scan.samples):
        unmatched = scan.left_out.reasons["attribute rows without a photo"].text() or f"{rows:,} of other photos"
        raise UserError(
            f"select.{rules[0]}: none of the {rows:,} rows of attributes belongs to a photo of {source.name}, so "
            f"nothing can be selected by them (rows: {unmatched}; photos: {scan.samples[0].id!r}, …); write the ids "
            "as the photos are listed, extension included, or leave the rule out"
        )


def _judged(recipe: Recipe, batch: pa.Table, marked: Sequence[int] = ()) -> pa.Table:
    """Add why a sample is not wanted: it is `marked` as drawn by sketchprep, or its source's annotations say so."""
    from sketchprep.sketching.selection import check_annotations

    rules, limits = recipe.select, recipe.select.pose.limits
    no_rule = not (rules.exclude_attributes or rules.require_attributes or limits)
    annotated = any(batch[name].null_count < len(batch) for name in ("attributes", "pose"))
    if (no_rule or not annotated) and not marked:
        return _with_reasons(batch, [NO_REASON] * len(batch))
    reasons: list[tuple[Any, ...]] = []
    for sample in samples_of(batch):
        error = check_annotations(
            sample,
            exclude_attributes=rules.exclude_attributes,
            require_attributes=rules.require_attributes,
            pose_limits=limits,
        )
        reasons.append(NO_REASON if error is None else ("select", error.kind, error.message, error.rejected))
    for number in marked:
        reasons[number] = OWN_PICTURE
    return _with_reasons(batch, reasons)


def _with_reasons(batch: pa.Table, reasons: Sequence[tuple[Any, ...]]) -> pa.Table:
    for number, name in enumerate(FAILURE_COLUMNS):
        batch = _with_column(batch, name, [reason[number] for reason in reasons])
    return batch
