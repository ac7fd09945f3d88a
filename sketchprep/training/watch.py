"""Means of the losses between two lines of the statistics, and the guard against losses that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LossMonitor"]


class LossMonitor:
    """Collects the losses of every step.

    A step's losses are read when the next step has been issued, so that a GPU never waits for Python.
    """

    def __init__(self) -> None:
        self._waiting: tuple[int, int, dict[str, Tensor]] | None = None
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, step: int, images: int, losses: Mapping[str, Tensor]) -> None:
        """Take the losses of the step that ended at `images`, and read those of the one before.

        Raises
        ------
        UserError
            If one of the step before is not finite, naming it.
        """
        self.flush()
        self._waiting = (step, images, dict(losses))

    def flush(self) -> None:
        """Read what is waiting: to be called before anything is saved.

        Raises
        ------
        UserError
            If a loss is not finite.
        """
        if self._waiting is None:
            return
        import torch

        step, images, losses = self._waiting
        self._waiting = None
        values = torch.stack([value.reshape(()) for value in losses.values()]).tolist()
        for name, value in zip(losses, values, strict=True):
            if not math.isfinite(value):
                raise UserError(
                    f"the loss {name} became {value} in step {step:,} (up to image {images:,}); the checkpoints before "
                    "it are kept; begin a new run from one with --init-from and a lower learning rate, gradient "
                    "clipping (clip=1), or precision=float32"
                )
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Mean of each loss since the last call."""
        self.flush()
        means = {name: self._sums[name] / self._counts[name] for name in self._sums}
        self._sums, self._counts = {}, {}
        return means
