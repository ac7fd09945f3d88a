"""Clients of the page's server: one HTTP request at a time, and messages over its WebSocket."""

from __future__ import annotations

import http.client
import json
from typing import Any

import numpy as np
from websockets.sync.client import ClientConnection, connect

from sketchprep.io import images

BLANK = images.encode_png(np.full((512, 512), 255, np.uint8))


def call(
    port: int, path: str, body: bytes | None = None, *, method: str | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None and "Content-Length" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer, data


def refusal(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    answer, data = call(port, path, body, **headers)
    found = json.loads(data)
    text = found["error"]
    assert "Traceback" not in text
    return answer.status, text


def join(port: int, **words: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/ws", max_size=None, open_timeout=30, **words)


def message(number: int, canvases: list[bytes], **words: Any) -> bytes:
    header = {
        "id": number,
        "type": "draw",
        "want": ["shadow", "face"],
        "wb": [0.3] * 5 * len(canvases),
        "bank": ["", ""],
    }
    text = json.dumps({**header, "sizes": [len(canvas) for canvas in canvases], **words}).encode()
    return len(text).to_bytes(4, "big") + text + b"".join(canvases)


def receive(client: ClientConnection) -> tuple[dict[str, Any], list[bytes]]:
    data = client.recv(timeout=60)
    assert isinstance(data, bytes)
    length = int.from_bytes(data[:4], "big")
    header, rest, pictures = json.loads(data[4 : 4 + length]), data[4 + length :], []
    for size in header["sizes"]:
        pictures.append(rest[:size])
        rest = rest[size:]
    return header, pictures
