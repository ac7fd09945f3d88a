"""Words of a user about where and how widely a build runs, checked."""

from __future__ import annotations

import contextlib
from typing import Any

from sketchprep.errors import UserError

__all__ = ["EXECUTOR_NAMES", "executor", "failure_limit", "workers"]

EXECUTOR_NAMES = ("inline", "joblib", "slurm")


def executor(name: str | None, backend: str | None, scheduler: str | None, jobs: int | None) -> str | None:
    """Check the words that say where shards run; None leaves the choice to the number of processes.

    Raises
    ------
    UserError
        If they do not go together.
    """
    if name is not None and name not in EXECUTOR_NAMES:
        raise UserError(f"--executor {name}: unknown; known: {', '.join(EXECUTOR_NAMES)}")
    if backend is None:
        if scheduler is not None:
            raise UserError(f"--scheduler {scheduler}: say whose it is with --backend dask or --backend ray")
        return name
    if name not in (None, "joblib"):
        raise UserError(f"--backend {backend}: goes with --executor joblib, not with {name}")
    if jobs is not None:
        raise UserError(f"-j {jobs}: the workers of --backend {backend} decide how many run; leave -j out")
    return "joblib"


def workers(jobs: int | None, device: str) -> int:
    """Processes to use: as asked, else one a core, or one alone where the networks run on a GPU.

    Raises
    ------
    UserError
        If less than one was asked for.
    """
    if jobs is not None:
        if jobs < 1:
            raise UserError(f"-j {jobs}: must be at least 1")
        return jobs
    if device.startswith("cuda"):
        return 1
    import joblib

    return joblib.cpu_count()


def failure_limit(text: str | int | None) -> Any:
    """How many failures are allowed, as a function of the number of planned photos.

    Raises
    ------
    UserError
        If it is neither a number nor a share.
    """
    if text is None:
        return lambda planned: float("inf")
    with contextlib.suppress(ValueError):
        value = str(text).strip()
        if value.endswith("%"):
            share = float(value[:-1])
            if 0 <= share <= 100:
                return lambda planned: planned * share / 100
        elif int(value) >= 0:
            return lambda planned: int(value)
    raise UserError(f"--max-failures {text}: give a number of photos, or a share such as 5%")
