"""Training as a Slurm job: a script that requeues itself to resume from the last checkpoint, and its submission."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from sketchprep.cluster import settings, slurm
from sketchprep.cluster.script import head, lines, module, site_lines
from sketchprep.cluster.settings import TrainSettings
from sketchprep.errors import UserError
from sketchprep.io.files import atomic

__all__ = ["folder_of", "script", "submit"]


def folder_of(run: Path) -> Path:
    """Where script and logs of a run's jobs lie: beside it, for a run's folder holds nothing else before it begins."""
    run = run.absolute()
    return run.with_name(f"{run.name}-slurm")


def script(site: TrainSettings, *, name: str, logs: Path, arguments: Sequence[str]) -> str:
    """The script: one step of `srun` with a process a GPU, started again after a crash, queued again near the limit.

    Slurm sends SIGUSR1 to these processes only; they save and leave with 128 + 10.

    Parameters
    ----------
    name : str
        Of the job.
    logs : Path
        Folder for the job's output, absolute.
    arguments : sequence of str
        What follows ``sketchprep``.
    """
    options = [*head(site, name, logs / "%j.log"), "--requeue", f"--signal=USR1@{site.warn}"]
    return f"""{lines(options)}
{site_lines(site)}
for attempt in $(seq {site.attempts}); do
  # Where the processes meet; another one each time, should this one be taken.
  export MASTER_PORT=$((15000 + (SLURM_JOB_ID + 4099 * attempt) % 17000))
  status=0
  srun --kill-on-bad-exit=1 --wait=0 --cpus-per-task={site.cpus} \\
    {module(site, "sketchprep")} {shlex.join(arguments)} || status=$?
  case "$status" in
    138)
      if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {site.requeues} ]; then
        echo "the time limit is near: back into the queue"
        scontrol requeue "$SLURM_JOB_ID"
      fi
      exit 138 ;;
    0 | 2 | 130 | 143) exit "$status" ;;   # done, refused in one sentence, or told to stop
  esac
  echo "attempt $attempt of {site.attempts} ended with status $status"
done
exit "$status"
"""


def submit(arguments: Sequence[str], run: Path, changes: Iterable[str] = (), *, dry_run: bool = False) -> str:
    """Submit a training, or only show its script.

    Parameters
    ----------
    arguments : sequence of str
        The command, without ``sketchprep`` and without its options about Slurm.
    run : Path
        The folder of the run.
    changes : iterable of str
        YAML files and ``key=value`` that change ``pipelines/train-slurm.yaml``.
    dry_run : bool
        Submit and write nothing.

    Returns
    -------
    str
        The script, or what was submitted and how to follow it.

    Raises
    ------
    UserError
        For a mistake in the settings, a job that trains there already, or what Slurm refuses.
    """
    site, folder = settings.load_training(changes), folder_of(run)
    name = slurm.job_name(run.absolute())
    text = script(site, name=name, logs=folder, arguments=arguments)
    if dry_run:
        return text
    slurm.demand()
    if jobs := slurm.active(name):
        raise UserError(f"--run {run}: job {jobs[0]} trains there already; follow it, or end it with scancel {jobs[0]}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "train.sh"
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another --run") from None
    number = slurm.submit(path, name)
    count = site.nodes * site.tasks_per_node
    return (
        f"submitted job {number}: {count} process{'es' if count > 1 else ''} on {site.nodes} "
        f"node{'s' if site.nodes > 1 else ''} ({path})\n"
        f"  follow it: tail -F {folder / f'{number}.log'}\n  end it:    scancel {number}"
    )
