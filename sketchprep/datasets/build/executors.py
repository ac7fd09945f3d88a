"""Executors: run shards in this process, or by joblib on its backends; files are the only shared state."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sketchprep.datasets.build import worker
from sketchprep.datasets.build.worker import Job
from sketchprep.datasets.plan import ShardPlan
from sketchprep.errors import UserError

__all__ = ["EXECUTORS", "Options", "inline", "joblib_executor"]


@dataclass(frozen=True)
class Options:
    """How to spread the shards: number of processes; or a cluster that joblib knows, and its address."""

    jobs: int = 1
    backend: str | None = None
    scheduler: str | None = None


def inline(todo: Iterable[ShardPlan], job: Job, options: Options, done: Callable[[str], None]) -> None:
    """Run the shards one after the other in this process."""
    for shard in todo:
        done(worker.run_shard(job, shard))


def joblib_executor(todo: Iterable[ShardPlan], job: Job, options: Options, done: Callable[[str], None]) -> None:
    """Run the shards in joblib's workers; loky unless the caller's ``joblib.parallel_config`` says otherwise."""
    import joblib
    from joblib.parallel import get_active_backend

    if options.backend is not None:
        from sketchprep.cluster.joblib_backends import connected

        with connected(options.backend, options.scheduler):
            joblib_executor(todo, job, replace(options, backend=None), done)
        return
    backend, _ = get_active_backend()
    if type(backend).__name__ != "LokyBackend":
        # Dask, Ray and the like place and watch their workers themselves.
        for name in joblib.Parallel(batch_size=1)(joblib.delayed(_run_alone)(job, shard) for shard in todo):
            done(name)
        return
    _refuse_parents_pool(options.jobs)
    own = replace(job, parent=os.getpid())
    with warnings.catch_warnings(), joblib.parallel_config("loky", inner_max_num_threads=job.recipe.threads):
        # Loky warns when a worker is replaced for its memory; its shard is not lost.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        pool = joblib.Parallel(
            n_jobs=options.jobs, batch_size=1, pre_dispatch=2 * options.jobs, return_as="generator_unordered"
        )
        for name in pool(joblib.delayed(_run)(own, shard) for shard in todo):
            done(name)


_pools: set[int] = set()  # processes in which joblib's pool was started: this one, or those it was forked from


def _refuse_parents_pool(jobs: int) -> None:
    """Raise UserError in a process that was forked from one with a pool, which would wait for ever for its workers."""
    if _pools - {os.getpid()}:
        raise UserError(
            f"-j {jobs}: this process was forked from one that has built with several processes; use one job, or "
            "multiprocessing's start method 'spawn'"
        )
    _pools.add(os.getpid())


def _run(job: Job, shard: ShardPlan) -> str:
    worker.quiet_interrupt()
    return worker.run_shard(job, shard)


_alone = threading.Lock()


def _run_alone(job: Job, shard: ShardPlan) -> str:
    """Run a shard where a worker process may have several threads: networks and detectors are one a process."""
    with _alone:
        return worker.run_shard(job, shard)


def shut_down() -> None:
    """Stop loky's workers at once, for a driver that was interrupted; a forked process leaves its parent's alone."""
    from joblib.externals.loky import get_reusable_executor

    if os.getpid() in _pools:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


EXECUTORS = {"inline": inline, "joblib": joblib_executor}
