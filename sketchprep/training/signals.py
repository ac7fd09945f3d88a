"""Graceful stop on SIGTERM, SIGUSR1 (sent by Slurm before the time limit) and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["StopSignals"]


class StopSignals:
    """Context manager that turns the first signal into a request to stop; a second Ctrl-C interrupts at once.

    Outside the main thread, where Python allows no handlers, it never asks to stop.
    """

    def __init__(self) -> None:
        self._number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGUSR1", signal.SIGTERM)):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number and number == signal.SIGINT:
            raise KeyboardInterrupt("the last step was not saved")
        self._number = number

    def asked(self, fabric: Fabric) -> int:
        """Number of the signal on which all processes stop after this step, or 0.

        A scheduler may signal one process only, or each at another step: they agree by the largest number.
        """
        if fabric.world_size == 1:
            return self._number
        import torch

        number = torch.tensor(float(self._number), device=fabric.device)
        return int(fabric.all_reduce(number, reduce_op="max"))  # type: ignore[arg-type]
