"""Batch scripts: pure functions from settings to text, so that a user can read what will run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from sketchprep.cluster.settings import Resources, Script, Settings

__all__ = [
    "array_script",
    "array_spec",
    "batches",
    "head",
    "job_script",
    "lines",
    "module",
    "on_node",
    "site_lines",
]


def batches(total: int, processes: int, limit: int, settings: Settings) -> int:
    """Shards a task, so that no index reaches the limit of the site or the length that was asked for.

    Parameters
    ----------
    total : int
        Shards of the whole plan, finished or not: a task's index says which ones are its own.
    processes : int
        Shards that a task works on at once.
    limit : int
        The site's MaxArraySize: indices run from 0 to one below.
    """
    most = max(1, min(limit, settings.max_tasks))
    return max(settings.shards_per_task or processes, -(-total // most))


def array_spec(indices: Collection[int], throttle: int = 0) -> str:
    """Write task indices as Slurm does: ``0-3,7,9-10%2``."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"{text}%{throttle}" if throttle else text


def array_script(settings: Settings, *, name: str, logs: Path, indices: Collection[int], command: str) -> str:
    """The script of the array: each task works on its shards, and queues itself again near its time limit.

    Parameters
    ----------
    name : str
        Of the job.
    logs : Path
        Folder for the tasks' output, absolute.
    indices : collection of int
        The tasks that have something to do.
    command : str
        Shell words that a task runs, with ``$SLURM_ARRAY_TASK_ID`` in them.
    """
    options = head(settings, name, logs / "%A_%a.log")
    options += [f"--array={array_spec(indices, settings.throttle)}", "--requeue", f"--signal=B:USR1@{settings.warn}"]
    return f"""{lines(options)}
{site_lines(settings)}
near_the_limit() {{
  trap '' USR1
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {settings.requeues} ]; then
    echo "the time limit is near: back into the queue"
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
  fi
}}
trap near_the_limit USR1

for attempt in $(seq {settings.attempts}); do
  {command} &
  worker=$!
  while :; do
    status=0
    wait "$worker" || status=$?
    kill -0 "$worker" 2>/dev/null || break   # a signal ends "wait" before the work ends
  done
  [ "$status" -eq 0 ] && exit 0
  [ "$status" -eq 2 ] && exit 2   # refused in one sentence: another attempt would hear the same
  echo "attempt $attempt of {settings.attempts} ended with status $status"
done
exit "$status"
"""


def job_script(settings: Script, resources: Resources, *, name: str, log: Path, command: str) -> str:
    """The script of a single job that runs one command, after the site's setup."""
    return f"""{lines([*head(resources, name, log), "--requeue"])}
{on_node(settings, command)}
"""


def on_node(settings: Script, command: str) -> str:
    """A command as shell text, after the site's setup."""
    return f"{site_lines(settings)}\nexec {command}"


def head(resources: Resources, name: str, log: Path) -> list[str]:
    """Options of a job: its name, what it is given, and where its log lies; only the file's own name holds patterns."""
    folder = str(log.parent).replace("%", "%%")
    return [
        f"--job-name={name}",
        *resources.options(),
        f'--output="{folder}/{log.name}"',
        "--open-mode=append",
    ]


def lines(options: Iterable[str]) -> str:
    """The first lines of a script."""
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {option}" for option in options)])


def site_lines(settings: Script) -> str:
    """The site's own lines: before `set -u`, for module and environment scripts read variables that are not set."""
    return "\n".join([*settings.setup, "set -uo pipefail", ""])


def module(settings: Script, name: str) -> str:
    """Shell words that run a Python module by the site's Python."""
    python = shlex.quote(settings.python or sys.executable)
    # -P: a folder of the user's that is named like a module must not shadow it.
    return f"{settings.command} {python} -P -m {name}".strip()
