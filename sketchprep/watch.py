"""The bar of a build that runs elsewhere, from the files that its workers leave."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from sketchprep import halfway, progress
from sketchprep.merge import complete_shards

__all__ = ["watch"]

EVERY_SECONDS = 2.0


class _Watcher:
    """Counts of a build; a finished shard's files are read once."""

    def __init__(self, out: Path, sizes: dict[str, int]) -> None:
        self._out, self._sizes = out, sizes
        self._known: dict[str, Counter[str]] = {}
        self.complete = False

    def look(self) -> Counter[str]:
        """Photos by outcome, over finished shards and those at work."""
        finished = set(complete_shards(self._out)) & set(self._sizes)
        self.complete = len(finished) == len(self._sizes)
        for name in finished - set(self._known):
            report = progress.read_report(self._out / "log" / f"{name}.json")
            counts = Counter(report["counts"]) if report else Counter()
            # The marker is what counts: figures may be missing, or be an earlier attempt's.
            counts["pair"] += self._sizes[name] - sum(counts.values())
            self._known[name] = counts
        sums: Counter[str] = Counter()
        for counts in self._known.values():
            sums.update(counts)
        for path in (self._out / "log").glob("*.json"):
            if path.stem in self._sizes and path.stem not in finished:
                sums.update((progress.read_report(path) or {"counts": {}})["counts"])
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
    from sketchprep.report import read_plan

    out = Path(folder)
    counted = read_plan(out, columns=["shard"])["shard"].value_counts().to_pylist()
    sizes = {entry["values"]: entry["counts"] for entry in counted if entry["values"] is not None}
    watcher = _Watcher(out, sizes)
    seen = sum(watcher.look().values())
    display = progress.bar(sum(sizes.values()), "building", initial=seen)
    try:
        while not watcher.complete:
            time.sleep(every)
            sums = watcher.look()
            half = f", {n} shards wait for their second pass" if (n := len(halfway.names(out))) else ""
            display.set_postfix_str(f"{sums['failed']} failed, {sums['rejected']} rejected{half}", refresh=False)
            display.update(max(0, sum(sums.values()) - seen))
            seen = max(seen, sum(sums.values()))
    finally:
        display.close()
