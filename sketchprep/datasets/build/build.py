"""Build a dataset: plan once, run the shards that are not there yet, merge."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.datasets import plan
from sketchprep.datasets.build import (
    datasetfolder,
    executors,
    fingerprint,
    halfway,
    passes,
    placement,
    planner,
    publish,
)
from sketchprep.datasets.build.at_url import at_url, kept_scratch
from sketchprep.datasets.build.currentplan import failed_ids, forget_failed, up_to_date
from sketchprep.datasets.build.listing import list_sources
from sketchprep.datasets.build.merge import merge
from sketchprep.datasets.build.missingshards import Cancelled, TooManyFailures, make
from sketchprep.datasets.build.request import Request, prepare
from sketchprep.datasets.build.worker import Job
from sketchprep.datasets.layout import UNMERGED, complete_shards
from sketchprep.datasets.reader import stored_environment
from sketchprep.datasets.remote import url_of
from sketchprep.errors import UserError
from sketchprep.io.object_store import Url

if TYPE_CHECKING:
    from sketchprep.datasets.build.slurm import Submission
    from sketchprep.sketching.recipe import Recipe

__all__ = ["Cancelled", "Result", "TooManyFailures", "build", "finish", "preview_jobs"]


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
    waiting : int
        Shards that wait for their second pass.
    """

    out: Path
    seconds: float
    made: int
    failed: int
    too_many_failures: bool
    submitted: Submission | None = None
    waiting: int = 0


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
    part: str | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> Result:
    """Turn face photos into a paired photo/sketch dataset.

    Calling it again with the same arguments goes on where an earlier run stopped; finished shards are never touched.

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
    part : str
        ``"cpu"``: only what needs no network; ``"network"``: the rest, from what the first pass left; default all.
        The passes may run on two kinds of machine that see the folder.  Slurm's follow from its settings.
    scratch : path
        For a dataset at a URL: where what is not in the store yet lies; default under the system's temporary folder.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        For any mistake in the arguments, a changed recipe or source, or a full disk.
    """
    from sketchprep.cluster import settings
    from sketchprep.datasets.build import nodes
    from sketchprep.datasets.build import slurm as submit

    start = time.monotonic()
    request = prepare(
        source, root=root, out=out, recipe_name=recipe, overrides=overrides, limit=limit, photo_list=photo_list
    )
    allowed = placement.failure_limit(max_failures)
    name = placement.executor(executor, backend, scheduler, jobs)
    if slurm and name != "slurm":
        raise UserError(f"--slurm {next(iter(slurm))}: goes with --executor slurm")
    wanted = passes.known(part, request.recipe)
    if name == "slurm":
        if part is not None:
            raise UserError(f"--pass {part}: leave it out; by Slurm passes are two where its settings have `network`")
        site = settings.load(slurm)
        here = nodes.planned_environment(request.out, request.recipe, device, site)
        count = placement.workers(jobs, "cpu")
    else:
        own = fingerprint.resolve(request.recipe, device, wanted)
        here = passes.planned(stored_environment(request.out), own, wanted)
        count = placement.workers(jobs, own["device"])
        name = name or ("inline" if count == 1 else "joblib")
    with datasetfolder.hold(request.out, request.recipe, here):
        _need_assets(request.recipe, offline, wanted)
        planned = up_to_date(request, count, extend=extend, retry_failed=retry_failed, quiet=quiet)
        if retry_failed:
            forget_failed(request, planned)
        publish.begin(request.out)
        sizes = plan.shard_sizes(planned)
        own = passes.of_pass(here, wanted) or {}
        url = url_of(request.out) or ""
        job = Job(request.out, request.recipe, own, request.roots, device, offline, part=wanted, url=url)
        if name == "slurm":
            names, there = list(sizes), complete_shards(request.out)
            if set(names) - set(there):
                (request.out / UNMERGED).touch()
                most = None if max_failures is None else allowed(sum(sizes.values()))
                sent = submit.submit(job, names, there, site, jobs=jobs, most_failures=most)
                return Result(request.out, time.monotonic() - start, 0, 0, False, sent)
            made = 0
        else:
            made = make(job, planned, sizes, name, executors.Options(count, backend, scheduler), allowed, quiet)
            if wanted == passes.CPU and (waiting := len(halfway.names(request.out))):
                failed = halfway.failed(request.out)
                over = failed > allowed(sum(sizes.values()))
                return Result(request.out, time.monotonic() - start, made, failed, over, waiting=waiting)
        failed = _finish(request.out, planned, list(sizes), made)
    over = failed > allowed(sum(sizes.values()))
    return Result(request.out, time.monotonic() - start, made, failed, over)


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
        with planner.draft(request.recipe, listing, hashing=False) as draft:
            names = draft.shard_names()
    return submit.preview(out, request.recipe, names, complete_shards(out), settings.load(jobs))


def finish(out: Path) -> int:
    """Merge the finished shards of a planned dataset and report; return how many photos failed."""
    planned = out / "plan.parquet"
    return _finish(out, planned, plan.shard_names(planned), made=1)


def _need_assets(rec: Recipe, offline: bool, part: str) -> None:
    """Fetch what is missing before any worker starts, so that none of them waits or fetches twice."""
    from sketchprep.core import weights

    for name in fingerprint.needed_assets(rec, part):
        weights.path(name, offline=offline)


def _finish(out: Path, planned: Path, names: list[str], made: int) -> int:
    """Merge and report if anything is new; return how many photos failed."""
    from sketchprep.datasets import card, preview, status

    for litter in (out / "shards").glob(".*.tmp"):  # left by workers that outlived a killed driver
        litter.unlink(missing_ok=True)
    for leftover in (halfway.FOLDER, halfway.REPORTS):
        shutil.rmtree(out / leftover, ignore_errors=True)
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
