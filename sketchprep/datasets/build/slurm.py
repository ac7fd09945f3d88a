"""A build as Slurm jobs: an array over the missing shards, then a job that merges."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.cluster import script, slurm
from sketchprep.cluster.settings import Settings
from sketchprep.datasets import plan
from sketchprep.datasets.build.fingerprint import MODULE
from sketchprep.datasets.layout import complete_shards
from sketchprep.errors import UserError
from sketchprep.io import object_store
from sketchprep.io.files import atomic, disk_sentence

if TYPE_CHECKING:
    from sketchprep.datasets.build.worker import Job
    from sketchprep.sketching.recipe import Recipe

__all__ = ["Submission", "cancel", "preview", "refuse_if_active", "submit"]


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted.

    Attributes
    ----------
    array, merge : str
        Numbers of the array and of the job that merges.
    tasks, shards : int
        Length of the array, and shards that are to be made.
    per_task : int
        Shards a task.
    script : Path
        What was submitted.
    """

    array: str
    merge: str
    tasks: int
    shards: int
    per_task: int
    script: Path

    def text(self) -> str:
        """Describe it in one line."""
        return (
            f"submitted job {self.array}: {self.shards:,} shards in {self.tasks:,} tasks of up to {self.per_task}, "
            f"then job {self.merge} merges them ({self.script})"
        )


def folder_of(out: Path) -> Path:
    """Where scripts, task logs and sentences of refused tasks lie."""
    return out.absolute() / "log" / "slurm"


def refuse_if_active(out: Path) -> None:
    """Refuse to touch a dataset while jobs work on it.

    Raises
    ------
    UserError
        Naming the jobs.
    """
    if not folder_of(out).is_dir() or not slurm.is_there():
        return
    jobs = slurm.active(slurm.job_name(out.absolute()))
    if jobs:
        raise UserError(
            f"-o {out}: Slurm jobs are at work there ({', '.join(jobs)}); follow them with "
            f"`sketchprep status --watch {out}`, or end them with `sketchprep cancel {out}`"
        )


def processes_of(settings: Settings, recipe: Recipe, jobs: int | None) -> int:
    """Worker processes of one task: as asked, else as many as its cores bear, or one alone beside a GPU."""
    return jobs or (1 if settings.gpus else max(1, settings.cpus // recipe.threads))


def submit(
    job: Job,
    names: Sequence[str],
    finished: Collection[str],
    settings: Settings,
    *,
    jobs: int | None = None,
    most_failures: float | None = None,
) -> Submission:
    """Write the scripts and submit them.

    Parameters
    ----------
    job : Job
    names : sequence of str
        Every shard of the plan, in order: task b works on ``names[b * k : (b + 1) * k]``.
    finished : collection of str
        Shards that are there; a task without any other is not submitted.
    settings : Settings
    jobs : int, optional
        Processes a task.
    most_failures : float, optional
        Photos that may fail before the tasks stop.
    """
    folder = folder_of(job.out)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.error"):
        old.unlink(missing_ok=True)
    todo = [name for name in names if name not in set(finished)]
    processes = processes_of(settings, job.recipe, jobs)
    per_task = script.batches(len(names), processes, slurm.max_array_size(), settings)
    spec = folder / f"{_next_number(folder):04d}.json"
    values = {
        "roots": {name: str(root.absolute()) for name, root in job.roots.items()},
        "device": job.device,
        "offline": job.offline,
        "per_task": per_task,
        "processes": processes,
        "stall": settings.stall,
        "settle": settings.settle,
        "most_failures": most_failures,
    }
    _write(spec, json.dumps(values, indent=2) + "\n")
    tasks = _tasks(names, finished, per_task)
    array, merge = _send(slurm.job_name(job.out.absolute()), spec, *scripts(job.out, spec, tasks, settings))
    return Submission(array, merge, len(tasks), len(todo), per_task, spec.with_suffix(".sh"))


def scripts(out: Path, spec: Path, tasks: Collection[int], settings: Settings) -> tuple[str, str]:
    """The batch scripts of the array and of the job that merges.

    Parameters
    ----------
    spec : Path
        The submission's file, absolute; logs lie beside it.
    """
    name, file = slurm.job_name(out.absolute()), shlex.quote(str(spec))
    module = script.module(settings, MODULE)
    array = script.array_script(
        settings,
        name=name,
        logs=spec.parent,
        indices=tasks,
        command=f'{module} shards {file} "$SLURM_ARRAY_TASK_ID"',
    )
    log = spec.parent / "%j_merge.log"
    merge = script.job_script(settings, settings.for_merge(), name=name, log=log, command=f"{module} merge {file}")
    return array, merge


def _send(name: str, spec: Path, array: str, merge: str) -> tuple[str, str]:
    """Write and submit both scripts, the second to run after the first; if that is refused, the first is cancelled."""
    paths = spec.with_suffix(".sh"), spec.with_suffix(".merge.sh")
    for path, text in zip(paths, (array, merge), strict=True):
        _write(path, text)
    number = slurm.submit(paths[0], name)
    try:
        return number, slurm.submit(paths[1], name, f"--dependency=afterany:{number}")
    except UserError:
        with contextlib.suppress(UserError):
            slurm.run(["scancel", number])
        raise


def preview(out: Path, rec: Recipe, names: Sequence[str], finished: Collection[str], settings: Settings) -> str:
    """Text of the scripts that `submit` would submit, without writing anything."""
    limit = slurm.max_array_size()
    todo = [name for name in names if name not in set(finished)]
    per_task = script.batches(len(names), processes_of(settings, rec, None), limit, settings)
    tasks = _tasks(names, finished, per_task)
    if not tasks:
        return "nothing to submit: every shard is there"
    spec = folder_of(out) / f"{_next_number(folder_of(out)):04d}.json"
    array, merge = scripts(out, spec, tasks, settings)
    head = f"{len(todo):,} shards in {len(tasks):,} tasks of up to {per_task} (MaxArraySize {limit:,})"
    return "\n\n".join([head, array, "--- then, submitted with --dependency=afterany:THE JOB ABOVE", merge])


def cancel(out: Path) -> int | None:
    """Stop what works on a dataset: its Slurm jobs, and any worker that sees its folder.

    Finished shards stay; the same build command resumes.

    Returns
    -------
    int or None
        Slurm jobs that were ended; None for a finished dataset, which is left alone.
    """
    if object_store.is_url(out):
        from sketchprep.datasets import remote

        remote.request_stop(object_store.Url(str(out)))
        return 0
    if not (out / "plan.parquet").is_file():
        raise UserError(f"{out}: holds no planned dataset, so there is nothing to cancel")
    if (out / "index.parquet").is_file() and len(complete_shards(out)) >= len(plan.shard_sizes(out / "plan.parquet")):
        return None
    try:
        (out / "log").mkdir(exist_ok=True)
        (out / "log" / "stop").write_text("cancelled\n")
    except OSError as error:
        raise UserError(disk_sentence(out, error)) from None
    if not folder_of(out).is_dir() or not slurm.is_there():
        return 0
    return slurm.cancel(slurm.job_name(out.absolute()))


def _tasks(names: Sequence[str], finished: Collection[str], per_task: int) -> list[int]:
    done = set(finished)
    return sorted({number // per_task for number, name in enumerate(names) if name not in done})


def _next_number(folder: Path) -> int:
    numbers = [int(path.stem) for path in folder.glob("*.json") if re.fullmatch(r"\d+", path.stem)]
    return max(numbers, default=0) + 1


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
