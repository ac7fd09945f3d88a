"""Learning rate and intervals as functions of the images seen, so that nothing of them needs saving."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchprep.training.options import Schedule

__all__ = ["due", "factor"]


def factor(schedule: Schedule, at: float, total: int) -> float:
    """Factor on the learning rate.

    Parameters
    ----------
    at : float
        Images seen; a step is taken at its middle, so that neither the first nor the last is idle.
    total : int
        Images of the whole run; from there on the factor is `schedule.end`.

    Returns
    -------
    float
        0..1.
    """
    if at < schedule.warm_up:
        return at / schedule.warm_up
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "cosine":
        done = min(1.0, (at - schedule.warm_up) / max(1, total - schedule.warm_up))
        return schedule.end + (1 - schedule.end) * 0.5 * (1 + math.cos(math.pi * done))
    fallen = min(1.0, max(0.0, at / total - schedule.hold) / (1 - schedule.hold))
    return 1 - (1 - schedule.end) * fallen


def due(every: int, images: int, step: int) -> bool:
    """Whether the step that ended at `images` reached or passed a multiple of `every`."""
    return images // every > (images - step) // every
