"""The shards that are not there yet, made by an executor under the eyes of a bar and a limit of failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.datasets import plan, remote
from sketchprep.datasets.build import executors, halfway, passes
from sketchprep.datasets.build.worker import Job, Stopped
from sketchprep.datasets.layout import UNMERGED, complete_shards
from sketchprep.io.object_store import Url

if TYPE_CHECKING:
    from sketchprep.datasets.build.executors import Options

__all__ = ["Cancelled", "TooManyFailures", "make"]


class Cancelled(Exception):
    """The run was stopped by `sketchprep cancel`."""


class TooManyFailures(Exception):
    """The run was stopped because more photos failed than were allowed."""


def make(
    job: Job,
    planned: Path,
    sizes: dict[str, int],
    executor: str,
    options: Options,
    allowed: Callable[[int], float],
    quiet: bool,
) -> int:
    """Make the shards that lack their marker; return the number of photos in them.

    Parameters
    ----------
    planned : Path
        The plan.
    sizes : dict of str to int
        Photos by shard, in order.
    executor : str
        Key of `sketchprep.datasets.build.executors.EXECUTORS`.
    allowed : callable
        From the number of planned photos to how many may fail.

    Raises
    ------
    Cancelled, TooManyFailures
    """
    from sketchprep.core.progress import Poller, bar

    finished = set(complete_shards(job.out))
    if job.part == passes.CPU:
        finished |= set(halfway.names(job.out))
    todo = [name for name in sizes if name not in finished]
    if not todo:
        return 0
    if job.part == passes.NETWORK:
        halfway.demand(job.out, todo)
    (job.out / UNMERGED).touch()
    reports = job.out / (halfway.REPORTS if job.part == passes.CPU else "log")
    for name in todo:  # an earlier run's figures would count as this one's
        (reports / f"{name}.json").unlink(missing_ok=True)
    reports.mkdir(exist_ok=True)
    total = sum(sizes.values())
    new = sum(sizes[name] for name in todo)
    most = allowed(total)

    def check(sums: Counter[str]) -> None:
        if sums["failed"] > most:
            (job.out / "log" / "stop").touch()
            if job.url:
                remote.request_stop(Url(job.url))

    display = bar(total, "first pass" if job.part == passes.CPU else "building", initial=total - new, quiet=quiet)
    try:
        with Poller(reports, set(todo), display, check):
            executors.EXECUTORS[executor](plan.iter_shards(planned, todo), job, options, lambda name: None)
    except BaseException as error:
        if executor == "joblib":
            executors.shut_down()
        if isinstance(error, Stopped):
            if (job.out / "log" / "stop").read_text().startswith("cancelled"):
                raise Cancelled("the build was cancelled; run the same command again to go on") from None
            raise TooManyFailures(
                f"more than {most:g} photos failed, the limit of --max-failures; see `sketchprep failures {job.out}`"
            ) from None
        if isinstance(error, KeyboardInterrupt):
            left = len(sizes) - len(set(complete_shards(job.out)) & set(sizes))
            raise KeyboardInterrupt(
                f"stopped with {left} of {len(sizes)} shards to go; run the same command again to go on"
            ) from None
        raise
    return new
