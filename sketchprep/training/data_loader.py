"""Batches prefetched by worker processes, in an order that does not depend on them.

Not torch's DataLoader, whose workers import torch: with two of them training began ten times later on two cores, for
the same number of lines.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import torch
    from lightning.fabric import Fabric

    from sketchprep.training.options import Options
    from sketchprep.training.task import Batch, Task

__all__ = ["BatchLoader"]

PREFETCH = 2  # batches a worker has in hand or finished
Make = Callable[[Sequence[int]], dict[str, np.ndarray]]


class BatchLoader:
    """Context manager that gives each step its batches and counts the seconds spent waiting for them.

    A step at position p looks at visits p to p + batch · accumulate · processes.  They are dealt out in runs of
    `batch`: first one to each process, then the second to each, so that n processes and n accumulated batches look at
    the same pictures.

    Parameters
    ----------
    make : callable
        See `Task.batch`; pickled for the workers.
    first : int
        Position of the first step.
    batch, accumulate, rank, processes : int
    workers : int
        Processes; 0 makes a batch when it is asked for.
    device : torch.device
        Where the batches go; pinned on the way if it is a GPU.
    channels_last : bool
        Memory format of float batches of pictures.
    """

    def __init__(
        self,
        make: Make,
        first: int,
        *,
        batch: int,
        accumulate: int = 1,
        rank: int = 0,
        processes: int = 1,
        workers: int = 0,
        device: torch.device | str = "cpu",
        channels_last: bool = True,
    ) -> None:
        self._waited = 0.0
        self._make, self._position, self._workers = make, first, workers
        self._batch, self._accumulate, self._rank, self._processes = batch, accumulate, rank, processes
        self._device, self._channels_last = device, channels_last
        self._pool: ProcessPoolExecutor | None = None
        self._pending: deque[Future[dict[str, np.ndarray]]] = deque()

    @classmethod
    def of(cls, task: Task, first: int, options: Options, fabric: Fabric) -> BatchLoader:
        """The loader of a run that resumes at `first`."""
        return cls(
            task.batch,
            first,
            batch=options.batch,
            accumulate=options.accumulate,
            rank=fabric.global_rank,
            processes=fabric.world_size,
            workers=options.workers,
            device=fabric.device,
            channels_last=options.channels_last,
        )

    def __enter__(self) -> BatchLoader:
        if self._workers:
            self._pool = _pool(self._workers)
        self._visits = self._schedule()
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _schedule(self) -> Iterator[range]:
        position = self._position
        while True:
            for turn in range(self._accumulate):
                start = position + (turn * self._processes + self._rank) * self._batch
                yield range(start, start + self._batch)
            position += self._batch * self._accumulate * self._processes

    def step(self) -> list[Batch]:
        """The batches of the next step, on the device."""
        return [self._to_device(self._next()) for _ in range(self._accumulate)]

    def take_waited(self) -> float:
        """Seconds spent waiting since the last call."""
        waited, self._waited = self._waited, 0.0
        return waited

    def _next(self) -> dict[str, np.ndarray]:
        start = time.perf_counter()
        try:
            if self._pool is None:
                return self._make(next(self._visits))
            while len(self._pending) < PREFETCH * self._workers:
                self._pending.append(self._pool.submit(self._make, next(self._visits)))
            return self._pending.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a process that makes batches ended, for want of memory or because a script of your own calls this "
                f'outside `if __name__ == "__main__"`; use fewer than workers={self._workers}, or workers=0'
            ) from None
        finally:
            self._waited += time.perf_counter() - start

    def _to_device(self, arrays: dict[str, np.ndarray]) -> Batch:
        import torch

        batch: dict[str, Any] = {}
        for name, array in arrays.items():
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            if torch.device(self._device).type == "cuda":
                tensor = tensor.pin_memory().to(self._device, non_blocking=True)
            pictures = self._channels_last and tensor.ndim == 4 and tensor.is_floating_point()
            batch[name] = tensor.contiguous(memory_format=torch.channels_last) if pictures else tensor
        return batch


def _pool(workers: int) -> ProcessPoolExecutor:
    # A fork would inherit torch's threads in the middle of their work.
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))


def _start_worker(parent: int) -> None:
    """One thread a worker; ignore signals, which are the parent's, and exit with it even if it is killed."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGUSR1", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    import cv2

    cv2.setNumThreads(1)


def _exit_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(2.0)
    os._exit(1)
