"""What runs on a node: one task of the array, the job that merges, and the question for the node's environment."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sketchprep.cluster.watchdog import Watchdog
from sketchprep.core import progress
from sketchprep.datasets import plan
from sketchprep.datasets.build import executors, halfway, passes
from sketchprep.datasets.build.worker import Job, Stopped
from sketchprep.datasets.layout import complete_shards
from sketchprep.datasets.reader import read_recipe
from sketchprep.datasets.remote import url_of
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
    processes: dict[str, int]
    stall: int
    settle: int
    most_failures: float | None

    @classmethod
    def read(cls, path: Path) -> Spec:
        return cls(path=path, **json.loads(path.read_text(encoding="utf-8")))

    @property
    def out(self) -> Path:
        return self.path.parents[2]

    def job(self, part: str) -> Job:
        """What the workers of a pass are told."""
        from sketchprep.sketching import recipe

        stored = read_recipe(self.out)
        roots = {name: location(root) for name, root in self.roots.items()}
        planned = passes.of_pass(stored["depends_on"], part) or {}
        job = Job(self.out, recipe.load(stored["recipe"]), planned, roots, self.device, self.offline, part=part)
        return replace(job, url=url_of(self.out) or "")


def run(path: Path, index: int, part: str = passes.ALL) -> None:
    """Work on the shards of one task that are not there yet.

    Parameters
    ----------
    path : Path
        The submission's file.
    index : int
        Of the task: it owns that many-th batch of the plan's shards.
    part : str
        The pass, see `passes.NAMES`.

    Raises
    ------
    UserError
        If this node cannot make the planned bytes, or the folder cannot be written; kept beside `path` for `status`.
    """
    spec = Spec.read(path)
    complaint = path.with_suffix(f".{index}.error" if part == passes.ALL else f".{part}.{index}.error")
    try:
        _run(spec, index, part)
        complaint.unlink(missing_ok=True)
    except Stopped:
        print("stopped: the build was cancelled, or too many photos failed", flush=True)
    except UserError as error:
        with contextlib.suppress(OSError):  # a folder that cannot be written; the job's log has the sentence too
            complaint.write_text(f"{error}\n", encoding="utf-8")
        raise


def _run(spec: Spec, index: int, part: str) -> None:
    names = plan.shard_names(spec.out / "plan.parquet")[index * spec.per_task : (index + 1) * spec.per_task]
    todo = _todo(spec, names, part)
    processes = spec.processes[part]
    print(f"task {index}: {len(todo)} of {len(names)} shards to make, {processes} processes", flush=True)
    if (spec.out / "log" / "stop").exists():
        raise Stopped
    if not todo:
        return
    shards = list(plan.read_shards(spec.out / "plan.parquet", todo).values())
    folder = spec.out / (halfway.REPORTS if part == passes.CPU else "log")
    with contextlib.suppress(OSError):  # the first shard says in one sentence what is wrong
        folder.mkdir(exist_ok=True)
    reports = [progress.Reports(f) for f in (spec.out / halfway.REPORTS, spec.out / "log") if f.is_dir()]
    watchdog = Watchdog(folder, todo, spec.stall)
    watchdog.start()

    def done(name: str) -> None:
        print(f"{name} is there", flush=True)
        _check_failures(spec, reports)

    name = "inline" if processes == 1 else "joblib"
    try:
        executors.EXECUTORS[name](shards, spec.job(part), executors.Options(processes), done)
    except BaseException:
        if name == "joblib":
            executors.shut_down()
        raise
    finally:
        watchdog.stop()


def _todo(spec: Spec, names: Sequence[str], part: str) -> list[str]:
    """Those of a task's shards which it can make and which are not there yet."""
    finished = set(complete_shards(spec.out))
    pending = [name for name in names if name not in finished]
    if part == passes.ALL:
        return pending
    if part == passes.CPU:
        halves = set(halfway.names(spec.out))
        return [name for name in pending if name not in halves]
    missing = _settled(spec, lambda: set(pending) - set(halfway.names(spec.out)))
    if missing:
        print(f"{len(missing)} shards lack their first pass (first: {min(missing)}): left out", flush=True)
    return [name for name in pending if name not in missing]


def _settled(spec: Spec, look: Callable[[], set[str]]) -> set[str]:
    """What is missing even after the time that a network's file system may hide what another node has just named."""
    end = time.monotonic() + spec.settle
    while (missing := look()) and time.monotonic() < end and not (spec.out / "log" / "stop").exists():
        time.sleep(min(1.0, spec.settle))
    return missing


def _check_failures(spec: Spec, reports: Sequence[progress.Reports]) -> None:
    """Stop every task of the build if more photos failed than are allowed."""
    if spec.most_failures is None:
        return
    latest: dict[str, dict[str, Any]] = {}
    for folder in reports:  # the second pass' figures hold the first one's
        latest |= folder.look()
    if sum(report["counts"].get("failed", 0) for report in latest.values()) > spec.most_failures:
        (spec.out / "log" / "stop").touch()


def merge(path: Path) -> bool:
    """Merge the dataset if all its shards are there; return whether they are."""
    from sketchprep.datasets.build import build

    spec = Spec.read(path)
    names = plan.shard_names(spec.out / "plan.parquet")
    missing = _settled(spec, lambda: set(names) - set(complete_shards(spec.out)))
    if missing:
        print(
            f"{len(missing)} of {len(names)} shards are not there (first: {min(missing)}); their logs lie beside this "
            "one; run the same `sketchprep build` command again to go on",
            flush=True,
        )
        return False
    build.finish(spec.out)
    print(f"{spec.out}: {len(names)} shards merged", flush=True)
    return True


def describe(question: str) -> str:
    """Resolve what the bytes depend on, on this node; JSON in, one line of JSON out."""
    from sketchprep.datasets.build import fingerprint
    from sketchprep.sketching import recipe

    values: dict[str, Any] = json.loads(question)
    return json.dumps(fingerprint.resolve(recipe.load(values["recipe"]), values["device"], values["part"]))


def main(words: Sequence[str]) -> int:
    """Run one of the three; return the exit status."""
    try:
        match list(words):
            case ["shards", path, index, part]:
                run(Path(path), int(index), part)
            case ["merge", path]:
                return 0 if merge(Path(path)) else 1
            case ["environment"]:
                print(describe(sys.stdin.read()))
            case _:
                print("this module is for batch scripts; see `sketchprep build --help`", file=sys.stderr)
                return 2
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        return 2
    return 0
