"""Slurm's commands as functions: sbatch, squeue, scancel, scontrol; no accounting database is needed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from sketchprep.errors import UserError

__all__ = ["active", "cancel", "demand", "is_there", "job_name", "max_array_size", "run", "submit"]


class Refused(UserError):
    """A command of Slurm's that said no."""


FALLBACK_ARRAY = 1001  # what Slurm ships with
SECONDS = 60


def job_name(out: Path) -> str:
    """Name of every job of a dataset: the folder's, and a digest of its path."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "_", out.name)[:40]
    return f"sketchprep-{word}-{hashlib.sha256(str(out).encode()).hexdigest()[:8]}"


def is_there() -> bool:
    """Whether this machine has Slurm's commands."""
    import shutil

    return shutil.which("sbatch") is not None


def demand() -> None:
    """Refuse to begin where there is no Slurm, before anything is planned.

    Raises
    ------
    UserError
    """
    if not is_there():
        raise UserError("--executor slurm: there is no `sbatch` on this machine; run it on a login node of the cluster")


def max_array_size() -> int:
    """The site's MaxArraySize: task indices must stay below it."""
    try:
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", run(["scontrol", "show", "config"]), re.MULTILINE)
    except UserError:
        found = None
    return int(found[1]) if found and int(found[1]) > 0 else FALLBACK_ARRAY


def submit(script: Path, name: str, *options: str) -> str:
    """Submit a script; return the job's number.

    Parameters
    ----------
    script : Path
    name : str
        Of the job, as the script has it.
    *options : str
        Of ``sbatch``.

    Raises
    ------
    UserError
        If it is refused, or if what became of it cannot be told; then every job of that name is cancelled.
    """
    try:
        return _number(run(["sbatch", "--parsable", *options, str(script)]), script)
    except Refused as error:
        said = str(error).partition(": ")[2]
        raise UserError(f"sbatch refused {script} ({said}); change what it asks for with --slurm KEY=VALUE") from None
    except UserError:
        with contextlib.suppress(UserError):
            run(["scancel", f"--name={name}"])
        raise


def _number(answer: str, script: Path) -> str:
    """The job's number in what `sbatch` printed; a site's wrapper may say more, before it or after it."""
    for pattern in (r"^(\d+)(?:;\S*)?\s*$", r"^Submitted batch job (\d+)\b"):
        numbers = set(re.findall(pattern, answer, re.MULTILINE))
        if len(numbers) == 1:
            return str(numbers.pop())
    raise UserError(
        f"sbatch {script}: answered {answer.strip()[:500]!r} where a job number was expected, so its job was "
        "cancelled; ask whoever keeps this site's `sbatch`"
    )


def active(name: str) -> list[str]:
    """Numbers of the jobs of that name which wait, run or are being ended."""
    words = run(["squeue", "--noheader", f"--name={name}", "--format=%F"]).split()
    return sorted({word for word in words if word.isdecimal()}, key=int)


def cancel(name: str, wait_seconds: float = SECONDS) -> int:
    """End all jobs of that name and wait until they are gone; return how many there were."""
    jobs = active(name)
    if not jobs:
        return 0
    run(["scancel", f"--name={name}"])
    end = time.monotonic() + wait_seconds
    while active(name) and time.monotonic() < end:
        time.sleep(0.5)
    return len(jobs)


def run(command: Sequence[str], text: str | None = None, seconds: float | None = SECONDS) -> str:
    """Output of a command of Slurm's.

    Raises
    ------
    UserError
        If it is not there, refuses, or does not answer.
    """
    # Inside another job its own variables would decide instead of the script.
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") or k == "SLURM_CONF"}
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=seconds, env=env, check=False
        )
    except FileNotFoundError:
        raise UserError(f"there is no `{command[0]}` on this machine; run it on a login node of the cluster") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"`{command[0]}` did not answer within {seconds:.0f} s; try again later") from None
    if done.returncode:
        raise Refused(f"`{' '.join(command[:2])}` failed: {_said(done.stderr) or f'status {done.returncode}'}")
    return done.stdout


def _said(text: str) -> str:
    """What a command of Slurm's complained of, without its own name before every line."""
    lines = [re.sub(r"^\w+: (error: )?", "", line).strip().rstrip(".") for line in text.splitlines()]
    return "; ".join(line for line in lines if line)
