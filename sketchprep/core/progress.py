"""Progress bar of long work: tqdm on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

__all__ = ["bar"]

LINE_SECONDS = 5.0


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
