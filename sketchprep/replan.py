"""What may change after planning: photos that come, and files that are mended.  Everything else is refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from sketchprep import plan
from sketchprep.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.plan import Listing
    from sketchprep.sources.base import Source

__all__ = ["check_listing", "extend", "rehash"]


def check_listing(
    table: pa.Table, listing: Listing, *, extend: bool, mended: Collection[tuple[str, str]] = frozenset()
) -> int:
    """Compare what the sources offer now with what was planned.

    Parameters
    ----------
    table : pyarrow.Table
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
    columns = (plan.column(table, name) for name in ("source", "id", "size", "path"))
    planned = {(source, id_): size for source, id_, size, path in zip(*columns, strict=True) if path}
    now = {(s.source, s.id): s.size for s in listing.samples}
    gone = [id_ for (source, id_) in planned if (source, id_) not in now]
    changed = [key[1] for key, size in planned.items() if key in now and now[key] != size and key not in mended]
    new = [id_ for (source, id_) in now if (source, id_) not in planned]
    if gone or changed:
        what = f"{len(gone)} planned photos are gone" if gone else f"{len(changed)} photos changed their size"
        raise UserError(
            f"the source is not what was planned: {what} (first: {(gone or changed)[0]!r}); "
            "put them back as they were, accept mended files that had failed with --retry-failed, "
            "or build into a new folder with -o"
        )
    if new and not extend:
        raise UserError(
            f"the source has {len(new)} photos that were not planned (first: {new[0]!r}); "
            "add --extend to append them as new shards, or build into a new folder with -o"
        )
    return len(new)


def extend(before: pa.Table, after: pa.Table) -> pa.Table:
    """Append the rows of a further planning pass."""
    import pyarrow as pa

    return pa.concat_tables([before, after]).combine_chunks()


def rehash(table: pa.Table, sources: Sequence[Source], keys: Collection[tuple[str, str]]) -> pa.Table:
    """Take over size and sha256 of samples whose files were mended after they had failed."""
    by_name = {s.name: s for s in sources}
    wanted = {name for name, _ in keys}
    now = {(s.source, s.id): s for name in sorted(wanted) for s in by_name[name].samples()}
    rows = table.to_pylist()
    for row in rows:
        sample = now.get((row["source"], row["id"]))
        if sample is not None and (sample.source, sample.id) in keys:
            row["size"] = sample.size
            row["sha256"] = plan.hash_samples([sample], by_name)[0]
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=plan.schema())
