"""What is never trained on: one rule for portraits and line art, used wherever either is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["choose", "is_held_out", "ranks"]

_EVERY = 5


def is_held_out(name: str) -> bool:
    """True for a portrait kept for evaluation: the last number in its file name is a multiple of five.

    A name without a number is never held out.
    """
    numbers = re.findall(r"\d+", Path(name).stem if name.endswith((".jpg", ".jpeg", ".png", ".npz")) else name)
    return bool(numbers) and int(numbers[-1]) % _EVERY == 0


def choose(names: Sequence[str], *, held_out: bool) -> list[str]:
    """The names on one side of the rule, sorted."""
    return sorted(name for name in names if is_held_out(name) == held_out)


def ranks(names: Sequence[str], *, held_out: bool) -> list[str]:
    """For names without numbers of their own: every fifth of the sorted names is held out, beginning with the first."""
    return [name for rank, name in enumerate(sorted(names)) if (rank % _EVERY == 0) == held_out]
