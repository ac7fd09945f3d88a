"""A reverse proxy that shows a server under a path, as notebooks do: it takes the path away and rewrites Host."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 1 << 16


@contextmanager
def prefix_proxy(target: int, prefix: str, *, keep: bool = False, port: int = 0) -> Iterator[int]:
    """Run the proxy in a thread; its port.

    Parameters
    ----------
    target : int
        Port of the server.
    prefix : str
        For instance ``"/user/x/proxy/7860"``; anything else is a 404.
    keep : bool
        Hand the path on as it is.
    port : int
        Of the proxy itself; 0 takes a free one.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_start(target, prefix, keep, port), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _start(target: int, prefix: str, keep: bool, port: int) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _pass_on(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, version = lines[0].split(" ")
        if not path.startswith(prefix):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        lines[0] = f"{method} {path if keep else path.removeprefix(prefix) or '/'} {version}"
        upgrade = any(line.lower().startswith("upgrade:") for line in lines)
        dropped = ("host:",) if upgrade else ("host:", "connection:")
        lines = [lines[0], *(line for line in lines[1:-2] if not line.lower().startswith(dropped))]
        lines += [f"Host: 127.0.0.1:{target}", *([] if upgrade else ["Connection: close"]), "", ""]
        inner, outer = await asyncio.open_connection("127.0.0.1", target)
        outer.write("\r\n".join(lines).encode("latin-1"))
        there = asyncio.create_task(_copy(reader, outer))
        await _copy(inner, writer)
        there.cancel()
        outer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port, limit=CHUNK)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
