"""The bar of a build that runs elsewhere, from the files that its workers leave."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from sketchprep.core import progress
from sketchprep.datasets.layout import complete_shards, plan_path
from sketchprep.datasets.remote import view

__all__ = ["watch"]

EVERY_SECONDS = 2.0


class _Watcher:
    """Counts of a build.

    A look lists two folders and opens the reports of shards that are at work or were finished since the last look;
    the first look of all opens every finished shard's report once.
    """

    def __init__(self, out: Path, sizes: dict[str, int]) -> None:
        self._out, self._sizes = out, sizes
        self._reports = progress.Reports(out / "log", sizes)
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


def watch(folder: str | Path, *, every: float = EVERY_SECONDS) -> None:
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
    from sketchprep.datasets import plan

    out = view(folder)
    sizes = plan.shard_sizes(plan_path(out))
    watcher = _Watcher(out, sizes)
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
