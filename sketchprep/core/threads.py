"""Threads of OpenCV and torch: how many a call may use, and none where a fork left them behind in the parent."""

from __future__ import annotations

import os
import sys

from sketchprep.errors import UserError

__all__ = ["limit_threads"]

# Libraries whose threads stayed in the process that this one was forked from.
_left_behind: set[str] = set()


def limit_threads(threads: int) -> None:
    """Set the threads that a single call of OpenCV or torch may use in this process.

    Raises
    ------
    UserError
        For several threads in a process that was forked from one with torch: those do not survive a fork.
    """
    import cv2

    if "cv2" not in _left_behind:  # there it would wait for ever for the parent's threads to end
        cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        if threads > 1 and "torch" in _left_behind:
            raise UserError(
                f"threads={threads}: this process was forked from one that had loaded torch, whose threads do not "
                "survive that; use one thread, or multiprocessing's start method 'spawn'"
            )
        sys.modules["torch"].set_num_threads(threads)


def _after_fork() -> None:
    """Let a forked process run without the threads that it lacks, as torch's own data loaders do."""
    _left_behind.update({"cv2", "torch"} & sys.modules.keys())
    if "torch" in _left_behind:
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
