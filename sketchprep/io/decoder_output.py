"""What libpng and libtiff print on stderr, caught: it tells of damage, and would tear a progress bar."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress

__all__ = ["caught_output"]

# Both write "module: message" to file descriptor 2, and neither OpenCV nor Pillow offers another way.
_PRINTED = re.compile(
    rb"(libpng (error|warning)|tempfile\.tif|JPEGLib|\w*TIFF\w*|MissingRequired|\w*(Decode|Estimate)\w*): "
)
_turn = threading.Lock()


def _free_turn() -> None:
    global _turn
    _turn = threading.Lock()


# A process forked while another thread decodes would wait for that thread for ever.
os.register_at_fork(after_in_child=_free_turn)


class caught_output:
    """Context manager: gives a list that holds, at its end, the lines that a decoder has printed meanwhile.

    File descriptors belong to the whole process, so that one decoder has its turn at a time, and lines of other threads
    are printed afterwards.
    """

    def __enter__(self) -> list[str]:
        self.lines: list[str] = []
        self._kept = self._file = -1
        self._turn = _turn
        self._turn.acquire()
        with suppress(OSError):  # no stderr, or no descriptor is left: then nothing is caught
            self._file = os.memfd_create("decoder", os.MFD_CLOEXEC)
            self._kept = os.dup(2)
            os.dup2(self._file, 2)
        return self.lines

    def __exit__(self, *_: object) -> None:
        try:
            if self._kept >= 0:
                os.dup2(self._kept, 2)
                os.close(self._kept)
                self._sort()
        finally:
            self._turn.release()
            if self._file >= 0:
                os.close(self._file)

    def _sort(self) -> None:
        for line in os.pread(self._file, 1 << 20, 0).splitlines(keepends=True):
            if _PRINTED.match(line):
                self.lines.append(line.decode("utf-8", "replace").strip())
            else:
                os.write(2, line)
