"""Progress bar of long work: tqdm on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

__all__ = ["bar"]

LINE_SECONDS = 5.0


class Lines:
    """Stands in for a bar where nobody watches: one line every few seconds."""

    def __init__(self, total: int, description: str, initial: int = 0, unit: str = "photo") -> None:
        self.total, self.n, self._description, self._first = total, initial, description, initial
        self._start = self._last = time.monotonic()
        self._postfix, self._unit = "", unit

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
        text = f"{self._description}: {self.n}/{self.total} {self._unit}s, {rate:.1f} {self._unit}s/s{left}"
        print(text + (f", {self._postfix}" if self._postfix else ""), file=sys.stderr, flush=True)


def bar(total: int, description: str, *, initial: int = 0, quiet: bool = False, unit: str = "photo") -> Any:
    """Return a progress bar: tqdm on a terminal, lines elsewhere, silence if `quiet`; `unit` is what it counts."""
    if not quiet and not sys.stderr.isatty():
        return Lines(total, description, initial, unit)
    from tqdm import tqdm

    return tqdm(total=total, desc=description, initial=initial, unit=unit, disable=quiet, smoothing=0.1)
