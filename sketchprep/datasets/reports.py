"""Reports of a build's workers: a JSON file a shard in ``log/``, with counts, seconds by stage and a time stamp."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from sketchprep.io.files import process_name

__all__ = ["Meter", "Reports", "read_report", "read_reports"]

WRITE_SECONDS = 0.5


class Meter:
    """Counts and times one shard's work and leaves it in a file now and then.

    These files hold seconds and therefore differ from run to run; they lie outside what a dataset promises.

    Parameters
    ----------
    path : Path or None
        Where to write; None writes nothing.
    """

    def __init__(self, path: Path | None, total: int) -> None:
        self.path = path
        self.total = total
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._written = 0.0
        self._started = time.time()

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to a stage's seconds."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def count(self, outcome: str, number: int = 1) -> None:
        """Count photos that came out as ``pair``, ``rejected`` or ``failed``."""
        self.counts[outcome] += number
        if time.monotonic() - self._written > WRITE_SECONDS:
            self.write(done=False)

    def write(self, *, done: bool) -> None:
        """Leave the figures in the file."""
        self._written = time.monotonic()
        if self.path is None:
            return
        values = {
            "total": self.total,
            "counts": dict(self.counts),
            "notes": dict(self.notes),
            "seconds": {k: round(v, 4) for k, v in self.seconds.items()},
            "started": self._started,
            "updated": time.time(),
            "done": done,
            "pid": os.getpid(),
            "peak_mb": round(_peak_mb(), 1),
        }
        temporary = self.path.with_suffix(f".{process_name()}.tmp")
        temporary.write_text(json.dumps(values))
        temporary.replace(self.path)


def _peak_mb() -> float:
    """Largest memory that this process ever held, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_reports(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what the meters left: shard name to its figures.  A file caught while being replaced is left out."""
    return Reports(folder).look() if folder.is_dir() else {}


class Reports:
    """What the meters left in a folder, read again and again: one listing a look, and only files that may change.

    Parameters
    ----------
    folder : Path
    names : collection of str, optional
        The shards that count; default all.
    """

    def __init__(self, folder: Path, names: Collection[str] | None = None) -> None:
        self._folder, self._names = folder, names
        self._done: dict[str, dict[str, Any]] = {}

    def look(self) -> dict[str, dict[str, Any]]:
        """Shard name to its figures."""
        found = dict(self._done)
        for entry in os.listdir(self._folder):
            name, _, ending = entry.rpartition(".json")
            if ending or not name or name in found or (self._names is not None and name not in self._names):
                continue
            report = read_report(self._folder / entry)
            if report is not None:
                found[name] = report
                if report.get("done"):
                    self._done[name] = report
        return found


def read_report(path: Path) -> dict[str, Any] | None:
    """Read what one meter left, or None if there is nothing whole; ``updated`` is the file server's time."""
    with contextlib.suppress(OSError, ValueError), path.open() as file:
        return {**json.load(file), "updated": os.fstat(file.fileno()).st_mtime}
    return None
