"""Build a dataset: plan once, run the missing shards, merge."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core import progress, weights
from sketchprep.datasets import card, plan, preview, remote, status
from sketchprep.datasets.build import executors, fingerprint, publish
from sketchprep.datasets.build.at_url import at_url, kept_scratch
from sketchprep.datasets.build.claim import claim
from sketchprep.datasets.build.merge import merge
from sketchprep.datasets.build.monitor import Poller
from sketchprep.datasets.build.plan_changes import failed_ids, forget_failed, update_plan
from sketchprep.datasets.build.planner import list_sources, plan_samples
from sketchprep.datasets.build.request import Request, executor_name, failure_limit, prepare, process_count
from sketchprep.datasets.build.summary import BuildSummary, summarize_build
from sketchprep.datasets.build.worker import Job, Stopped
from sketchprep.datasets.layout import UNMERGED, complete_shards
from sketchprep.datasets.remote import url_of
from sketchprep.errors import UserError
from sketchprep.io.object_store import Url

if TYPE_CHECKING:
    from sketchprep.cluster.settings import Settings
    from sketchprep.datasets.build.slurm import Submission

__all__ = ["Cancelled", "Result", "TooManyFailures", "build", "finish", "preview_jobs", "run_missing_shards"]


class Cancelled(Exception):
    """The run was stopped by `sketchprep cancel`."""


class TooManyFailures(Exception):
    """The run was stopped because more photos failed than were allowed."""


@dataclass(frozen=True)
class Result:
    """What a build left behind.

    Attributes
    ----------
    out : Path
        The dataset.
    seconds : float
        Wall time of this run.
    made : int
        Photos this run worked on; 0 if everything was there already.
    failed : int
        Photos of the whole dataset that could not be processed.
    too_many_failures : bool
        Whether `failed` is over the limit that was given.
    submitted : Submission or None
        The jobs that do the work, where it was given to Slurm; the other figures then say what was there before.
    summary : BuildSummary
        What was left out, and notes on what was taken.
    """

    out: Path
    seconds: float
    made: int
    failed: int
    too_many_failures: bool
    submitted: Submission | None = None
    summary: BuildSummary = field(default_factory=BuildSummary)


@at_url
def build(
    source: str | None = None,
    *,
    root: str | os.PathLike[str] | Mapping[str, str] | None = None,
    out: str | os.PathLike[str] | None = None,
    recipe: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    overrides: Iterable[str] = (),
    jobs: int | None = None,
    executor: str | None = None,
    limit: int | None = None,
    photo_list: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    extend: bool = False,
    max_failures: str | int | None = None,
    device: str = "auto",
    offline: bool = False,
    quiet: bool = False,
    slurm: Iterable[str] = (),
    backend: str | None = None,
    scheduler: str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
) -> Result:
    """Turn face photos into a paired photo/sketch dataset.

    Calling it again with the same arguments resumes where an earlier run stopped; finished shards are never touched.

    Parameters
    ----------
    source : str, optional
        Name of a source, for instance ``"celebamask-hq"``; may be left out if the recipe names its sources.
    root : path, or mapping of source name to path
        Where the photos lie; default ``$SKETCHPREP_DATA/NAME``.
    out : path or URL
        The dataset's folder; default ``out/NAME-OF-THE-RECIPE``.
    recipe : str, path or mapping
        A shipped recipe's name, a YAML file, or the values; default the recipe named as the source.
    overrides : iterable of str
        ``"key=value"`` changes to the recipe.
    jobs : int
        Processes; default one a core.
    executor : str
        ``"inline"``, ``"joblib"`` or ``"slurm"``; default inline for one job.  Slurm's jobs are only submitted: they
        work on when this returns, and the last one merges.
    limit : int
        Take only the first so many photos of each source.
    photo_list : path
        The photos to take, instead of all under the root: a text file with a path relative to it a line, or a Parquet
        file with a column ``path``.  Only for the source ``folder``; none of them is opened before its shard is made.
    retry_failed : bool
        Work again on the shards in which photos failed, accepting files that were mended.
    extend : bool
        Plan photos that came since as new shards.
    max_failures : int or str
        Stop when more photos fail than this number, or than this share (``"5%"``) of the planned ones.
    device : str
        For networks: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch a missing weight.
    quiet : bool
        No progress bar.
    slurm : iterable of str
        YAML files and ``"key=value"`` that change ``pipelines/slurm.yaml``.
    backend : str
        ``"dask"`` or ``"ray"``: a cluster that joblib hands the shards to.
    scheduler : str
        Its address, for instance ``"tcp://host:8786"``; default one on this machine, for this build alone.
    scratch : path
        For a dataset at a URL: where what is not in the store yet lies; default under the system's temporary folder.
    follow_links : bool
        Follow links that leave a source's root.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        For any mistake in the arguments, a changed recipe or source, or a full disk.
    """
    from sketchprep.cluster import settings

    start = time.monotonic()
    request = prepare(
        source,
        root=root,
        out=out,
        recipe_name=recipe,
        overrides=overrides,
        limit=limit,
        photo_list=photo_list,
        follow_links=follow_links,
    )
    allowed = failure_limit(max_failures)
    name = executor_name(executor, backend, scheduler, jobs)
    if slurm and name != "slurm":
        raise UserError(f"--slurm {next(iter(slurm))}: goes with --executor slurm")
    site = settings.load(slurm) if name == "slurm" else None
    if site is not None:
        environment = fingerprint.resolve_for_jobs(request.out, request.recipe, device, site)
    else:
        environment = fingerprint.resolve(request.recipe, device)
    count = process_count(jobs, "cpu" if site is not None else environment["device"])
    with claim(request.out, request.recipe, environment):
        for asset in fingerprint.needed_assets(request.recipe):  # before any worker starts: none fetches it twice
            weights.path(asset, offline=offline)
        planned = update_plan(request, count, extend=extend, retry_failed=retry_failed, quiet=quiet)
        if retry_failed:
            forget_failed(request, planned)
        publish.begin(request.out)
        sizes = plan.shard_sizes(planned)
        url = url_of(request.out) or ""
        job = Job(request.out, request.recipe, environment, request.roots, device, offline, url=url)
        most = allowed(sum(sizes.values()))
        made = 0
        if site is not None:
            limit_given = None if max_failures is None else most
            submitted = _submit(job, list(sizes), site, jobs, limit_given)
            if submitted is not None:
                summary = summarize_build(request.recipe, request.sources, planned, plan.failure_tables(planned))
                return Result(request.out, time.monotonic() - start, 0, 0, False, submitted, summary)
        else:
            name = name or ("inline" if count == 1 else "joblib")
            options = executors.Options(count, backend, scheduler)
            made = run_missing_shards(job, planned, sizes, name, options, most, quiet=quiet)
        failed = _finish(request.out, planned, list(sizes), made)
        summary = summarize_build(request.recipe, request.sources, planned, status.read_failures(request.out))
    return Result(request.out, time.monotonic() - start, made, failed, failed > most, summary=summary)


def _submit(
    job: Job, names: list[str], site: Settings, jobs: int | None, most_failures: float | None
) -> Submission | None:
    """Give the missing shards to Slurm; None if there are none."""
    from sketchprep.datasets.build import slurm

    finished = complete_shards(job.out)
    if not set(names) - set(finished):
        return None
    (job.out / UNMERGED).touch()
    return slurm.submit(job, names, finished, site, jobs=jobs, most_failures=most_failures)


def run_missing_shards(
    job: Job,
    planned: Path,
    sizes: dict[str, int],
    executor: str,
    options: executors.Options,
    most_failures: float,
    *,
    quiet: bool = False,
) -> int:
    """Run the shards that lack their completion marker; return the number of photos in them.

    Parameters
    ----------
    job : Job
    planned : Path
        The plan.
    sizes : dict of str to int
        Photos by shard, in order.
    executor : str
        Key of `sketchprep.datasets.build.executors.EXECUTORS`.
    options : Options
    most_failures : float
        Photos that may fail before the run is stopped.
    quiet : bool
        No progress bar.

    Raises
    ------
    Cancelled, TooManyFailures
    """
    finished = set(complete_shards(job.out))
    todo = [name for name in sizes if name not in finished]
    if not todo:
        return 0
    (job.out / UNMERGED).touch()
    for name in todo:  # an earlier run's figures would count as this one's
        (job.out / "log" / f"{name}.json").unlink(missing_ok=True)
    total, new = sum(sizes.values()), sum(sizes[name] for name in todo)

    def check(sums: Counter[str]) -> None:
        if sums["failed"] > most_failures:
            (job.out / "log" / "stop").touch()
            if job.url:
                remote.request_stop(Url(job.url))

    display = progress.bar(total, "building", initial=total - new, quiet=quiet)
    try:
        with Poller(job.out / "log", set(todo), display, check):
            executors.EXECUTORS[executor](plan.iter_shards(planned, todo), job, options, lambda name: None)
    except BaseException as error:
        if executor == "joblib":
            executors.shut_down()
        if isinstance(error, Stopped):
            raise _stopped(job.out, most_failures) from None
        if isinstance(error, KeyboardInterrupt):
            left = len(sizes) - len(set(complete_shards(job.out)) & set(sizes))
            raise KeyboardInterrupt(
                f"stopped with {left} of {len(sizes)} shards to go; run the same command again to resume"
            ) from None
        raise
    return new


def _stopped(out: Path, most_failures: float) -> Exception:
    """Why the file ``log/stop`` is there."""
    if (out / "log" / "stop").read_text().startswith("cancelled"):
        return Cancelled("the build was cancelled; run the same command again to resume")
    return TooManyFailures(
        f"more than {most_failures:g} photos failed, the limit of --max-failures; see `sketchprep failures {out}`"
    )


def preview_jobs(request: Request, jobs: Iterable[str], scratch: str | os.PathLike[str] | None = None) -> str:
    """Text of the batch scripts that a build by Slurm would submit; writes nothing and opens no photo."""
    from sketchprep.cluster import settings
    from sketchprep.datasets.build import slurm as submit

    out = kept_scratch(request.out, scratch) if isinstance(request.out, Url) else request.out
    path = out / "plan.parquet"
    if path.exists():
        names = plan.shard_names(path)
    else:
        listing = list_sources(request.sources, request.recipe.limit)
        with plan_samples(request.recipe, listing, hashing=False) as planned:
            names = planned.shard_names()
    return submit.preview(out, request.recipe, names, complete_shards(out), settings.load(jobs))


def finish(out: Path) -> int:
    """Merge the finished shards of a planned dataset and report; return how many photos failed."""
    planned = out / "plan.parquet"
    return _finish(out, planned, plan.shard_names(planned), made=1)


def _finish(out: Path, planned: Path, names: list[str], made: int) -> int:
    """Merge and report if anything is new; return how many photos failed."""
    for litter in (out / "shards").glob(".*.tmp"):  # left by workers that outlived a killed driver
        litter.unlink(missing_ok=True)
    outputs = [out / name for name in ("index.parquet", "failures.parquet", "README.md", "preview.jpg")]
    if made or (out / UNMERGED).exists() or not all(path.exists() for path in outputs):
        totals = merge(out, planned, names)
        merged = status.status(out, totals)
        status.save_totals(out, merged)
        card.write(out, merged)
        preview.write(out)
        (out / UNMERGED).unlink(missing_ok=True)
        publish.finish(out)
        return totals.failed
    return len(failed_ids(out))
