"""From a planned dataset to jobs in Slurm's queue: which tasks have work, their script, and the job that merges."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep import store
from sketchprep.cluster import script, slurm
from sketchprep.cluster.settings import Settings
from sketchprep.errors import UserError

if TYPE_CHECKING:
    from sketchprep.recipe import Recipe
    from sketchprep.worker import Job

__all__ = ["Submission", "cancel", "planned_environment", "preview", "refuse_if_active", "submit"]


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted.

    Attributes
    ----------
    array, merge : str
        Numbers of the array and of the job that ends it.
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


def planned_environment(out: Path, rec: Recipe, device: str, settings: Settings) -> dict[str, Any]:
    """What the bytes will depend on: as planned before, else resolved here or on a node.

    The submitting machine makes no bytes: its CPU and devices do not matter, its packages are the nodes' too.
    """
    from sketchprep import environment
    from sketchprep.dataset import read_recipe

    if not (out / "recipe.yaml").exists():
        return environment.resolve(rec, device) if settings.planning == "here" else _ask_node(rec, device, settings)
    here = environment.resolve(rec, "cpu")
    return {**read_recipe(out)["depends_on"], **{key: here[key] for key in ("packages", "weights", "threads")}}


def _ask_node(rec: Recipe, device: str, settings: Settings) -> dict[str, Any]:
    """Resolve the environment in a job of the tasks' kind; waits in the queue for it."""
    question = json.dumps({"recipe": rec.canonical(), "device": device})
    work = script.on_node(settings, "environment")
    answer = slurm.run(["srun", "--quiet", *settings.options(), "bash", "-c", work], question, seconds=None)
    try:
        return dict(json.loads(answer.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        raise UserError(f"planning=node: the node answered {answer.strip()[-200:]!r}; see its setup lines") from None


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
        "most_failures": most_failures,
    }
    _write(spec, json.dumps(values, indent=2) + "\n")
    tasks = _tasks(names, finished, per_task)
    name = slurm.job_name(job.out.absolute())
    paths = spec.with_suffix(".sh"), spec.with_suffix(".merge.sh")
    _write(paths[0], script.array_script(settings, name=name, spec=spec, indices=tasks))
    _write(paths[1], script.merge_script(settings, name=name, spec=spec))
    array = slurm.submit(paths[0])
    try:
        merge = slurm.submit(paths[1], f"--dependency=afterany:{array}")
    except UserError:
        slurm.run(["scancel", array])
        raise
    return Submission(array, merge, len(tasks), sum(n not in finished for n in names), per_task, paths[0])


def preview(out: Path, rec: Recipe, names: Sequence[str], finished: Collection[str], settings: Settings) -> str:
    """Text of the scripts that `submit` would submit, without writing anything."""
    limit = slurm.max_array_size()
    per_task = script.batches(len(names), processes_of(settings, rec, None), limit, settings)
    tasks = _tasks(names, finished, per_task)
    if not tasks:
        return "nothing to submit: every shard is there"
    spec = folder_of(out) / f"{_next_number(folder_of(out)):04d}.json"
    name = slurm.job_name(out.absolute())
    array = script.array_script(settings, name=name, spec=spec, indices=tasks)
    merge = script.merge_script(settings, name=name, spec=spec)
    left = sum(n not in finished for n in names)
    head = f"{left:,} shards in {len(tasks):,} tasks of up to {per_task} (MaxArraySize {limit:,})"
    return f"{head}\n\n{array}\n--- and, once it has ended (--dependency=afterany)\n\n{merge}"


def cancel(out: Path) -> int:
    """Stop what works on a dataset: its Slurm jobs, and any worker that sees its folder.

    Finished shards stay; the same build command goes on.

    Returns
    -------
    int
        Slurm jobs that were ended.
    """
    if not (out / "plan.parquet").is_file():
        raise UserError(f"{out}: holds no planned dataset, so there is nothing to cancel")
    (out / "log").mkdir(exist_ok=True)
    (out / "log" / "stop").write_text("cancelled\n")
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
    with store.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
