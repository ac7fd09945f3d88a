"""Progress bar of a build from its workers' reports, whether they run here or elsewhere."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sketchprep.core import progress
from sketchprep.datasets import plan
from sketchprep.datasets.layout import complete_shards, plan_path
from sketchprep.datasets.remote import view
from sketchprep.datasets.reports import Reports

__all__ = ["BuildWatcher", "Poller", "follow"]

POLL_SECONDS = 0.5
FOLLOW_SECONDS = 2.0


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
        while not self._stop.wait(POLL_SECONDS):
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


class BuildWatcher:
    """Counts of a build.

    A look lists two folders and opens the reports of shards that are at work or were finished since the last look;
    the first look of all opens every finished shard's report once.
    """

    def __init__(self, out: Path, sizes: dict[str, int]) -> None:
        self._out, self._sizes = out, sizes
        self._reports = Reports(out / "log", sizes)
        self._known: dict[str, Counter[str]] = {}
        self._sums: Counter[str] = Counter()
        self.complete = False

    def look(self) -> Counter[str]:
        """Photos by outcome, over finished shards and those at work."""
        finished = set(complete_shards(self._out)) & set(self._sizes)
        self.complete = len(finished) == len(self._sizes)
        reports = self._reports.look()
        for name in finished - self._known.keys():
            counts = Counter(reports[name]["counts"] if name in reports else {})
            # The marker is what counts: figures may be missing, or be an earlier attempt's.
            counts["pair"] += self._sizes[name] - sum(counts.values())
            self._known[name] = counts
            self._sums.update(counts)
        sums = Counter(self._sums)
        for name in reports.keys() - finished:
            sums.update(reports[name]["counts"])
        return sums


def follow(folder: str | Path, *, every: float = FOLLOW_SECONDS) -> None:
    """Show the bar of a local build for one that runs on other machines, until all its shards are there.

    Parameters
    ----------
    folder : path
        A planned dataset.
    every : float
        Seconds between two looks.

    Raises
    ------
    UserError
        If the folder holds no planned dataset.
    """
    out = view(folder)
    sizes = plan.shard_sizes(plan_path(out))
    watcher = BuildWatcher(out, sizes)
    seen = sum(watcher.look().values())
    display = progress.bar(sum(sizes.values()), "building", initial=seen)
    try:
        while not watcher.complete:
            time.sleep(every)
            view(folder)
            sums = watcher.look()
            display.set_postfix_str(f"{sums['failed']} failed, {sums['rejected']} rejected", refresh=False)
            display.update(max(0, sum(sums.values()) - seen))
            seen = max(seen, sum(sums.values()))
    finally:
        display.close()
