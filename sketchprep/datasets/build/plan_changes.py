"""Update a plan from its sources: new photos and mended files are accepted, other changes refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.core import progress
from sketchprep.datasets import plan
from sketchprep.datasets.build.planner import (
    OWN_PICTURE,
    Listing,
    fingerprints,
    known_samples,
    list_sources,
    looks_for_near_duplicates,
    plan_samples,
    unplanned,
    write_plan,
)
from sketchprep.datasets.build.request import Request
from sketchprep.datasets.layout import UNMERGED, complete_shards
from sketchprep.datasets.schema import PLAN
from sketchprep.datasets.sources.tables import samples_of
from sketchprep.datasets.status import shard_failures
from sketchprep.errors import UserError
from sketchprep.io import query
from sketchprep.io.files import atomic
from sketchprep.io.tables import tables

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.base import Source
    from sketchprep.records import Sample

__all__ = ["check_listing", "failed_ids", "forget_failed", "rehash", "update_plan"]

# Of planned (p) and listed (l) samples: how many are gone, changed and new, and the first of each.  Pictures that
# sketchprep drew (o) come and go as they like.
DIFFERENCES = """
    SELECT
        count(*) FILTER (l.id IS NULL), arg_min(p.id, p.n) FILTER (l.id IS NULL),
        count(*) FILTER (p.size <> l.size AND m.id IS NULL),
        arg_min(p.id, p.n) FILTER (p.size <> l.size AND m.id IS NULL),
        count(*) FILTER (p.id IS NULL AND o.id IS NULL), arg_min(l.id, l.n) FILTER (p.id IS NULL AND o.id IS NULL)
    FROM planned p
    FULL JOIN listed l ON p.source = l.source AND p.id = l.id
    LEFT JOIN mended m ON m.source = p.source AND m.id = p.id
    LEFT JOIN own o ON o.source = l.source AND o.id = l.id
"""
# So many new files are looked at, whether they are no photos.
MOST_NEW = 1000


def update_plan(request: Request, jobs: int, *, extend: bool, retry_failed: bool, quiet: bool) -> Path:
    """Compare the plan with the sources, or make it; return its file.

    Raises
    ------
    UserError
        If the sources are not what was planned, unless photos were added and `extend` is set.
    """
    listing = list_sources(request.sources, request.recipe.limit)
    path = request.out / "plan.parquet"
    if not path.exists():
        _hash_and_plan(request, listing, path, None, jobs, quiet)
        return path
    mended = failed_ids(request.out) if retry_failed else set()
    if check_listing(path, listing, extend=extend, mended=mended):
        _hash_and_plan(request, listing, path, path, jobs, quiet)
    return path


def _hash_and_plan(request: Request, listing: Listing, path: Path, before: Path | None, jobs: int, quiet: bool) -> None:
    new = sum(source.count(listing.limit) for source in listing.sources if not source.listed)
    if before is not None:
        new -= sum(plan.split_counts(before).values())
    display = progress.bar(max(0, new), "planning", quiet=quiet or new <= 0)
    try:
        builder = plan_samples(
            request.recipe, listing, before=before, jobs=jobs, hashed=display.update, folder=request.out / "log"
        )
        with builder:
            write_plan(path, builder, before)
        (request.out / UNMERGED).touch()  # photos that are not planned are rows of the index's failures too
    finally:
        display.close()


def failed_ids(out: Path) -> set[tuple[str, str]]:
    """(source, id) of the photos that could not be processed in the finished shards."""
    return {
        (row["source"], row["id"])
        for table in shard_failures(out, complete_shards(out))
        for row in table.to_pylist()
        if not row["rejected"]
    }


def forget_failed(request: Request, planned: Path) -> None:
    """Record the digests of mended files in the plan and remove the markers of the shards they belong to."""
    failed = failed_ids(request.out)
    if not failed:
        return
    perceptual = looks_for_near_duplicates(request.recipe, list_sources(request.sources, request.recipe.limit))
    rehash(planned, request.sources, failed, perceptual=perceptual)
    for shard in plan.shards_of(planned, failed):
        (request.out / "shards" / f"{shard}.parquet").unlink(missing_ok=True)


def check_listing(
    planned: pa.Table | Path,
    listing: Listing,
    *,
    extend: bool,
    mended: Collection[tuple[str, str]] = frozenset(),
) -> int:
    """Compare what the sources offer now with what was planned.

    Both are read once.

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
    import duckdb
    import pyarrow as pa

    failed: list[UserError] = []  # DuckDB would wrap them
    keys = pa.schema([("source", pa.string()), ("id", pa.string())])
    with query.connect() as connection:
        connection.register("planned", _numbered(_planned(planned), failed))
        connection.register("listed", _numbered((batch for _, batch in listing.batches()), failed))
        connection.register("mended", pa.Table.from_pylist([{"source": s, "id": i} for s, i in mended], schema=keys))
        connection.register("own", _own_pictures(planned))
        try:
            row = connection.execute(DIFFERENCES).fetchall()[0]
        except duckdb.Error:
            if failed:
                raise failed[0] from None
            raise
    gone, first_gone, changed, first_changed, new, first_new = row
    if gone or changed:
        what = f"{gone} planned photos are gone" if gone else f"{changed} photos changed their size"
        raise UserError(
            f"the source is not what was planned: {what} (first: {(first_gone if gone else first_changed)!r}); "
            "put them back as they were, accept mended files that had failed with --retry-failed, "
            "or build into a new folder with -o"
        )
    if new and not extend and _all_are_drawn(planned, listing, new):
        return 0
    if new and not extend:
        raise UserError(
            f"the source has {new} photos that were not planned (first: {first_new!r}); "
            "add --extend to append them as new shards, or build into a new folder with -o"
        )
    return new


def rehash(path: Path, sources: Sequence[Source], keys: Collection[tuple[str, str]], *, perceptual: bool) -> None:
    """Take over size and hashes of samples whose files were mended after they had failed, in a ``plan.parquet``."""
    import pyarrow as pa

    by_name = {source.name: source for source in sources}
    wanted = {name for name, _ in keys}
    listing = Listing(tuple(source for source in sources if source.name in wanted))
    now = {(s.source, s.id): s for s in _picked(listing, keys)}
    with atomic(path) as temporary, plan.row_groups(temporary) as groups:
        for table in tables(path, kind=PLAN):
            found = [now.get(key) for key in zip(plan.column(table, "source"), plan.column(table, "id"), strict=True)]
            if any(found):
                columns = {name: plan.column(table, name) for name in ("size", "sha256", "phash")}
                for number, sample in enumerate(found):
                    if sample is not None:
                        content = fingerprints([sample], by_name[sample.source], perceptual=perceptual)[0]
                        columns["size"][number] = sample.size
                        columns["sha256"][number] = content and content.sha256
                        columns["phash"][number] = content and content.phash
                for name, values in columns.items():
                    at = table.column_names.index(name)
                    table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
            groups.add(table)


def _planned(planned: pa.Table | Path) -> Iterator[pa.Table]:
    import pyarrow.compute as pc

    for table in tables(planned, ["source", "id", "size", "path", "kind"], kind=PLAN):
        own = pc.fill_null(pc.equal(table["kind"], OWN_PICTURE[1]), fill_value=False)
        yield table.filter(pc.and_not(pc.is_valid(table["path"]), own))


def _own_pictures(planned: pa.Table | Path) -> pa.Table:
    """Source and id of the files that planning knew as drawn by sketchprep."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = [
        table.filter(pc.equal(table["kind"], OWN_PICTURE[1]))
        for table in tables(planned, ["source", "id", "kind"], kind=PLAN)
    ]
    return pa.concat_tables(rows).select(["source", "id"])


def _all_are_drawn(planned: pa.Table | Path, listing: Listing, new: int) -> bool:
    """Whether all new files are sketches and sheets that sketchprep wrote since the photos were planned."""
    if new > MOST_NEW or any(source.listed for source in listing.sources):
        return False
    known, _ = known_samples(planned)
    for source, batch in listing.batches():
        found = fingerprints(samples_of(unplanned(batch, known)), source)
        if not all(content and content.marked for content in found):
            return False
    return True


def _numbered(batches: Iterable[pa.Table], failed: list[UserError]) -> pa.RecordBatchReader:
    """Source, id, size and position of samples, as a stream; what stops it is appended to `failed`."""
    import pyarrow as pa

    names = ("source", "id", "size")
    schema = pa.schema([("source", pa.string()), ("id", pa.string()), ("size", pa.int64()), ("n", pa.int64())])

    def stream() -> Iterator[pa.RecordBatch]:
        at = 0
        try:
            for batch in batches:
                columns = [batch[name] for name in names]
                numbers = pa.array(range(at, at + len(batch)), pa.int64())
                at += len(batch)
                yield from pa.table([*columns, numbers], schema=schema).to_batches()
        except UserError as error:
            failed.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, stream())


def _picked(listing: Listing, keys: Collection[tuple[str, str]]) -> Iterator[Sample]:
    for _, batch in listing.batches():
        pairs = zip(plan.column(batch, "source"), plan.column(batch, "id"), strict=True)
        inside = [number for number, key in enumerate(pairs) if key in keys]
        yield from samples_of(batch.take(inside)) if inside else ()
