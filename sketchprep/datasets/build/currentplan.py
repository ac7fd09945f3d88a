"""A dataset's plan, brought up to date with its sources before the shards are made."""

from __future__ import annotations

from pathlib import Path

from sketchprep.datasets import plan
from sketchprep.datasets.build import planner, replan
from sketchprep.datasets.build.listing import Listing, list_sources
from sketchprep.datasets.build.request import Request
from sketchprep.datasets.layout import complete_shards
from sketchprep.datasets.status import shard_failures

__all__ = ["failed_ids", "forget_failed", "up_to_date"]


def up_to_date(request: Request, jobs: int, *, extend: bool, retry_failed: bool, quiet: bool) -> Path:
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
    if replan.check_listing(path, listing, extend=extend, mended=mended):
        _hash_and_plan(request, listing, path, path, jobs, quiet)
    return path


def _hash_and_plan(request: Request, listing: Listing, path: Path, before: Path | None, jobs: int, quiet: bool) -> None:
    from sketchprep.core.progress import bar

    new = sum(source.count(listing.limit) for source in listing.sources if not source.listed)
    if before is not None:
        new -= sum(plan.split_counts(before).values())
    display = bar(max(0, new), "planning", quiet=quiet or new <= 0)
    try:
        made = planner.draft(
            request.recipe, listing, before=before, jobs=jobs, hashed=display.update, folder=request.out / "log"
        )
        with made:
            planner.write(path, made, before)
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
    """Record the digests of mended files in the plan and take away the markers of the shards they belong to."""
    failed = failed_ids(request.out)
    if not failed:
        return
    replan.rehash(planned, request.sources, failed)
    for shard in plan.shards_of(planned, failed):
        (request.out / "shards" / f"{shard}.parquet").unlink(missing_ok=True)
