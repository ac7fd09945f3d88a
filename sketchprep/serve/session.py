"""One client's WebSocket: only its newest request counts, and the event loop never waits for a network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sketchprep.errors import SampleError, UserError
from sketchprep.ops.face_parts import PARTS
from sketchprep.serve.limits import SEND_SECONDS
from sketchprep.serve.protocol import Message, pack, unpack

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from sketchprep.serve.drawing import DrawingService

__all__ = ["Newest", "Session"]

Run = Callable[..., Awaitable[Any]]


class Newest:
    """Holds one thing; a newer one takes its place."""

    def __init__(self) -> None:
        self._item: bytes | None = None
        self._there = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return self._item is not None

    def put(self, item: bytes) -> None:
        """Replace what is there."""
        self._item = item
        self._there.set()

    async def take(self) -> bytes:
        """Wait for something, and take it away."""
        await self._there.wait()
        self._there.clear()
        item, self._item = self._item, None
        assert item is not None
        return item


class Session:
    """Serves a client until it leaves.

    Parameters
    ----------
    socket : WebSocket
        Accepted.
    service : DrawingService
    run : callable
        ``await run(function, *args, **words)`` elsewhere than in the event loop.
    """

    def __init__(self, socket: WebSocket, service: DrawingService, run: Run) -> None:
        self.socket, self.service, self.run = socket, service, run
        self.newest = Newest()

    async def serve(self) -> None:
        """Read and answer; whichever ends first ends both."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._answer())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            # Text is no message of ours: the empty one is answered with what is wrong.
            self.newest.put(data if data is not None else b"")

    async def _answer(self) -> None:
        while True:
            data = await self.newest.take()
            number = None
            try:
                message = unpack(data)
                number = message.ask.id
                await self._draw(message)
            except (UserError, SampleError) as error:
                await self._send({"type": "error", "id": number, "message": str(error)})

    async def _draw(self, message: Message) -> None:
        ask, started = message.ask, time.perf_counter()
        if ask.type == "morph":
            face = await self.run(
                self.service.morph, message.pictures, wb=ask.wb, banks=ask.bank, share=ask.share, urgency="first"
            )
            await self._send({"type": "face", "id": ask.id, "ms": _since(started)}, [face])
            return
        wanted = "shadow" in ask.want
        look = await self.run(
            self.service.analyse, message.pictures[0], wb=ask.wb, bank=ask.bank[0], shadow=wanted, urgency="first"
        )
        if wanted:
            found = {"neighbours": look.neighbours, "blank": look.blank, "advice": look.advice, "ms": _since(started)}
            await self._send({"type": "shadow", "id": ask.id, **found}, [look.shadow] if look.shadow else [])
        if "face" in ask.want and not self.newest.waiting and len(look.blank) < len(PARTS):
            face = await self.run(self.service.face, look.blended)
            await self._send({"type": "face", "id": ask.id, "ms": _since(started)}, [face])

    async def _send(self, header: dict[str, Any], pictures: list[bytes] | None = None) -> None:
        await asyncio.wait_for(self.socket.send_bytes(pack(header, pictures)), SEND_SECONDS)


def _since(started: float) -> int:
    return round(1000 * (time.perf_counter() - started))
