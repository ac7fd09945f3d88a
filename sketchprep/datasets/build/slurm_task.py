"""Entry points of a build's Slurm jobs: one array task, the merge, and a node's environment."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sketchprep.cluster.watchdog import Watchdog
from sketchprep.datasets import plan
from sketchprep.datasets.build import executors
from sketchprep.datasets.build.worker import Job, Stopped
from sketchprep.datasets.layout import complete_shards, read_recipe
from sketchprep.datasets.remote import url_of
from sketchprep.datasets.reports import Reports
from sketchprep.errors import UserError
from sketchprep.io.object_store import location

__all__ = ["Spec", "describe", "merge", "run"]


@dataclass(frozen=True)
class Spec:
    """What a submission tells its tasks; the dataset is the folder that its file lies in."""

    path: Path
    roots: dict[str, str]
    device: str
    offline: bool
    per_task: int
    processes: int
    stall: int
    settle: int
    most_failures: float | None

    @classmethod
    def read(cls, path: Path) -> Spec:
        return cls(path=path, **json.loads(path.read_text(encoding="utf-8")))

    @property
    def out(self) -> Path:
        return self.path.parents[2]

    def job(self) -> Job:
        """What the workers are told."""
        from sketchprep.sketching import recipe

        stored = read_recipe(self.out)
        roots = {name: location(root) for name, root in self.roots.items()}
        begun = recipe.load(recipe.complete(stored["recipe"]))
        job = Job(self.out, begun, stored["depends_on"], roots, self.device, self.offline)
        return replace(job, url=url_of(self.out) or "")


def run(path: Path, index: int) -> None:
    """Work on the shards of one task that are not there yet.

    Parameters
    ----------
    path : Path
        The submission's file.
    index : int
        Of the task: it owns that many-th batch of the plan's shards.

    Raises
    ------
    UserError
        If this node cannot make the planned bytes, or the folder cannot be written; kept beside `path` for `status`.
    """
    spec = Spec.read(path)
    complaint = path.with_suffix(f".{index}.error")
    try:
        _run(spec, index)
        complaint.unlink(missing_ok=True)
    except Stopped:
        print("stopped: the build was cancelled, or too many photos failed", flush=True)
    except UserError as error:
        with contextlib.suppress(OSError):  # a folder that cannot be written; the job's log has the sentence too
            complaint.write_text(f"{error.cli_message}\n", encoding="utf-8")
        raise


def _run(spec: Spec, index: int) -> None:
    names = plan.shard_names(spec.out / "plan.parquet")[index * spec.per_task : (index + 1) * spec.per_task]
    finished = set(complete_shards(spec.out))
    todo = [name for name in names if name not in finished]
    print(f"task {index}: {len(todo)} of {len(names)} shards to make, {spec.processes} processes", flush=True)
    if (spec.out / "log" / "stop").exists():
        raise Stopped
    if not todo:
        return
    shards = list(plan.read_shards(spec.out / "plan.parquet", todo).values())
    reports = Reports(spec.out / "log")
    watchdog = Watchdog(spec.out / "log", todo, spec.stall)
    watchdog.start()

    def done(name: str) -> None:
        print(f"{name} is there", flush=True)
        _check_failures(spec, reports)

    name = "inline" if spec.processes == 1 else "joblib"
    try:
        executors.EXECUTORS[name](shards, spec.job(), executors.Options(spec.processes), done)
    except BaseException:
        if name == "joblib":
            executors.shut_down()
        raise
    finally:
        watchdog.stop()


def _check_failures(spec: Spec, reports: Reports) -> None:
    """Stop every task of the build if more photos failed than are allowed."""
    if spec.most_failures is None:
        return
    if sum(report["counts"].get("failed", 0) for report in reports.look().values()) > spec.most_failures:
        (spec.out / "log" / "stop").touch()


def merge(path: Path) -> bool:
    """Merge the dataset if all its shards are there; return whether they are."""
    from sketchprep.datasets.build import build

    spec = Spec.read(path)
    names = plan.shard_names(spec.out / "plan.parquet")
    missing = _missing_shards(spec, names)
    if missing:
        print(
            f"{len(missing)} of {len(names)} shards are not there (first: {min(missing)}); their logs lie beside this "
            "one; run the same `sketchprep build` command again to resume",
            flush=True,
        )
        return False
    build.finish(spec.out)
    print(f"{spec.out}: {len(names)} shards merged", flush=True)
    return True


def _missing_shards(spec: Spec, names: Sequence[str]) -> set[str]:
    """What is missing even after the time that a network file system may hide what another node has just renamed."""
    end = time.monotonic() + spec.settle
    while missing := set(names) - set(complete_shards(spec.out)):
        if time.monotonic() >= end or (spec.out / "log" / "stop").exists():
            break
        time.sleep(min(1.0, spec.settle))
    return missing


def describe(question: str) -> str:
    """Resolve what the bytes depend on, on this node; JSON in, one line of JSON out."""
    from sketchprep.datasets.build import fingerprint
    from sketchprep.sketching import recipe

    values: dict[str, Any] = json.loads(question)
    return json.dumps(fingerprint.resolve(recipe.load(values["recipe"]), values["device"]))


def main(words: Sequence[str]) -> int:
    """Run one of the three; return the exit status."""
    try:
        match list(words):
            case ["shards", path, index]:
                run(Path(path), int(index))
            case ["merge", path]:
                return 0 if merge(Path(path)) else 1
            case ["environment"]:
                print(describe(sys.stdin.read()))
            case _:
                print("this module is for batch scripts; see `sketchprep build --help`", file=sys.stderr)
                return 2
    except UserError as error:
        print(f"Error: {error.cli_message}", file=sys.stderr, flush=True)
        return 2
    return 0
