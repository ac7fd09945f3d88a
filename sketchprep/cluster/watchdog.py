"""Watchdog: ends a hanging worker, so that its task starts the work again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["HANGS", "Watchdog"]

HANGS = 75  # EX_TEMPFAIL: the script starts the work again


class Watchdog(threading.Thread):
    """Ends a process in which no photo gets done any more.

    It compares what it sees with what it saw, never a file's time with a clock: the clocks of nodes and file servers
    differ.
    """

    def __init__(self, folder: Path, names: Sequence[str], seconds: float) -> None:
        super().__init__(daemon=True)
        self._paths = [folder / f"{name}.json" for name in names]
        self._seconds = seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def run(self) -> None:
        seen, since = self._look(), time.monotonic()
        while not self._stopped.wait(min(5.0, self._seconds / 4)):
            now = self._look()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > self._seconds:
                print(f"no photo was finished for {self._seconds} s: this process ends itself", flush=True)
                self._kill_children()
                os._exit(HANGS)

    def _look(self) -> list[tuple[int, int] | None]:
        return [_stamp(path) for path in self._paths]

    def _kill_children(self) -> None:
        """SIGKILL the workers: one that hangs hears nothing else."""
        for child in _children(os.getpid()):
            os.kill(child, signal.SIGKILL)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(folder.name))
    return found
