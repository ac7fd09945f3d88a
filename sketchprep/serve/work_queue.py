"""Priority queue with one worker thread for all clients, so that memory is that of one drawing."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

__all__ = ["WorkQueue"]

# Seconds by which a later job may overtake.  Bounded, or two busy clients would starve all others.
PATIENCE = {"first": 0.0, "soon": 0.25, "idle": 20.0}


class WorkQueue:
    """Runs functions in one thread, ordered by urgency and age.

    Must be started inside an event loop with ``async with``.
    """

    def __init__(self) -> None:
        self._queue: asyncio.PriorityQueue[tuple[float, int, asyncio.Future[Any], Callable[[], Any]]] = (
            asyncio.PriorityQueue()
        )
        self._order = itertools.count()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="drawing")

    async def __aenter__(self) -> WorkQueue:
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    def __len__(self) -> int:
        """Number of jobs that wait."""
        return self._queue.qsize()

    async def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        urgency: Literal["first", "soon", "idle"] = "soon",
        **kwargs: Any,
    ) -> Any:
        """Wait for a turn, run the function, return its result."""
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        due = time.monotonic() + PATIENCE[urgency]
        self._queue.put_nowait((due, next(self._order), result, lambda: function(*args, **kwargs)))
        return await result

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            _, _, result, job = await self._queue.get()
            if result.cancelled():  # the client has gone
                continue
            try:
                value = await loop.run_in_executor(self._thread, job)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                if not result.cancelled():
                    result.set_exception(error)
            else:
                if not result.cancelled():
                    result.set_result(value)
