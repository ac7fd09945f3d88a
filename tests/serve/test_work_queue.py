"""The work queue: urgent jobs overtake, and no job starves."""

from __future__ import annotations

import asyncio
import time

import pytest

from sketchprep.serve import work_queue


def test_what_is_urgent_overtakes_and_what_is_idle_waits() -> None:
    done: list[str] = []

    async def work() -> None:
        async with work_queue.WorkQueue() as queue:
            first = asyncio.create_task(queue.run(time.sleep, 0.05))
            await asyncio.sleep(0.01)
            words = ("idle", "soon", "first")
            await asyncio.gather(first, *(queue.run(done.append, word, urgency=word) for word in words))

    asyncio.run(work())
    assert done == ["first", "soon", "idle"]


def test_two_who_never_rest_do_not_keep_a_third_from_its_turn() -> None:
    done = False

    async def busy(queue: work_queue.WorkQueue) -> None:
        while not done:
            await queue.run(time.sleep, 0.01, urgency="first")

    async def work() -> None:
        nonlocal done
        async with work_queue.WorkQueue() as queue:
            others = [asyncio.create_task(busy(queue)) for _ in range(3)]
            await asyncio.sleep(0.1)
            try:
                await asyncio.wait_for(queue.run(int), 30)
            finally:
                done = True
                await asyncio.gather(*others)

    asyncio.run(work())


def test_a_failure_is_its_callers_alone() -> None:
    async def work() -> int:
        async with work_queue.WorkQueue() as queue:
            with pytest.raises(ZeroDivisionError):
                await queue.run(lambda: 1 // 0)
            return await queue.run(lambda: 7)

    assert asyncio.run(work()) == 7
