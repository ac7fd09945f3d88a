"""Progress of a build: small files that the workers leave, and the bar that reads them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from sketchprep.io.files import process_name

__all__ = ["Meter", "Poller", "Reports", "bar", "read_reports"]

EVERY_SECONDS = 0.5
LINE_SECONDS = 5.0


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
        if time.monotonic() - self._written > EVERY_SECONDS:
            self.write(done=False)

    def write(self, *, done: bool) -> None:
        """Leave the figures in the file."""
        self._written = time.monotonic()
        if self.path is None:
            return
        values = {
            "total": self.total,
            "counts": dict(self.counts),
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


class Lines:
    """Stands in for a bar where nobody watches: one line every few seconds."""

    def __init__(self, total: int, description: str, initial: int = 0) -> None:
        self.total, self.n, self._description, self._first = total, initial, description, initial
        self._start = self._last = time.monotonic()
        self._postfix = ""

    def update(self, number: int = 1) -> None:
        self.n += number
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._line()

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self._postfix = text

    def close(self) -> None:
        self._line()

    def _line(self) -> None:
        self._last = time.monotonic()
        rate = (self.n - self._first) / max(self._last - self._start, 1e-9)
        left = f", {(self.total - self.n) / rate:.0f} s left" if rate > 0 and self.n < self.total else ""
        text = f"{self._description}: {self.n}/{self.total} photos, {rate:.1f} photos/s{left}"
        print(text + (f", {self._postfix}" if self._postfix else ""), file=sys.stderr, flush=True)


def bar(total: int, description: str, *, initial: int = 0, quiet: bool = False) -> Any:
    """Return a progress bar for photos: tqdm on a terminal, lines elsewhere, silence if `quiet`."""
    if not quiet and not sys.stderr.isatty():
        return Lines(total, description, initial)
    from tqdm import tqdm

    return tqdm(total=total, desc=description, initial=initial, unit="photo", disable=quiet, smoothing=0.1)


class Poller:
    """Moves a bar by what the shards' files say, and calls `check` with the sums, until it is stopped."""

    def __init__(self, folder: Path, names: set[str], display: Any, check: Callable[[Counter[str]], None]) -> None:
        self._reports, self._display, self._check = Reports(folder, names), display, check
        self._stop = threading.Event()
        self._seen = 0
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Poller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._poll()
        self._display.close()

    def _loop(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self._poll()

    def _poll(self) -> None:
        sums: Counter[str] = Counter()
        for report in self._reports.look().values():
            sums.update(report["counts"])
        done = sum(sums.values())
        self._display.set_postfix_str(f"{sums['failed']} failed, {sums['rejected']} rejected", refresh=False)
        self._display.update(max(0, done - self._seen))
        self._seen = max(self._seen, done)
        self._check(sums)
