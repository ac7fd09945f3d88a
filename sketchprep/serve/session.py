"""One client's WebSocket: the latest request wins, and the event loop never waits for a network."""

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

__all__ = ["Latest", "Session"]

Run = Callable[..., Awaitable[Any]]


class Latest:
    """A queue of length one: a newer item replaces the one that waits."""

    def __init__(self) -> None:
        self._item: bytes | None = None
        self._there = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether an item waits."""
        return self._item is not None

    def put(self, item: bytes) -> None:
        """Add an item, in place of the one that waits."""
        self._item = item
        self._there.set()

    async def take(self) -> bytes:
        """Wait for an item and remove it."""
        await self._there.wait()
        self._there.clear()
        item, self._item = self._item, None
        assert item is not None
        return item


class Session:
    """Serves one client until it disconnects.

    Parameters
    ----------
    socket : WebSocket
        Accepted.
    service : DrawingService
    run : callable
        ``await run(function, *args, **kwargs)`` in another thread than the event loop's.
    """

    def __init__(self, socket: WebSocket, service: DrawingService, run: Run) -> None:
        self.socket, self.service, self.run = socket, service, run
        self.latest = Latest()

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
            self.latest.put(data if data is not None else b"")

    async def _answer(self) -> None:
        while True:
            data = await self.latest.take()
            number = None
            try:
                message = unpack(data)
                number = message.request.id
                await self._draw(message)
            except (UserError, SampleError) as error:
                await self._send({"type": "error", "id": number, "message": str(error)})

    async def _draw(self, message: Message) -> None:
        request, started = message.request, time.perf_counter()
        if request.type == "morph":
            face = await self.run(
                self.service.morph,
                message.pictures,
                wb=request.wb,
                banks=request.bank,
                share=request.share,
                urgency="first",
            )
            await self._send({"type": "face", "id": request.id, "ms": _since(started)}, [face])
            return
        wanted = "shadow" in request.want
        analysis = await self.run(
            self.service.analyse,
            message.pictures[0],
            wb=request.wb,
            bank=request.bank[0],
            shadow=wanted,
            urgency="first",
        )
        if wanted:
            answer = {
                "neighbours": analysis.neighbours,
                "blank": analysis.blank,
                "advice": analysis.advice,
                "ms": _since(started),
            }
            await self._send(
                {"type": "shadow", "id": request.id, **answer}, [analysis.shadow] if analysis.shadow else []
            )
        if "face" in request.want and not self.latest.waiting and len(analysis.blank) < len(PARTS):
            face = await self.run(self.service.face, analysis.blended)
            await self._send({"type": "face", "id": request.id, "ms": _since(started)}, [face])

    async def _send(self, header: dict[str, Any], pictures: list[bytes] | None = None) -> None:
        await asyncio.wait_for(self.socket.send_bytes(pack(header, pictures)), SEND_SECONDS)


def _since(started: float) -> int:
    return round(1000 * (time.perf_counter() - started))
