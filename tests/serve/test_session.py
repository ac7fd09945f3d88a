"""The WebSocket: shadow and face, the newest request wins, and what is wrong is told."""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from page_clients import BLANK, join, message, receive
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from sketchprep.io import images
from sketchprep.ops.face_parts import PARTS
from sketchprep.serve import session
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.limits import MOST_MESSAGE
from sketchprep.serve.work_queue import WorkQueue

Serve = Callable[[DrawingService], AbstractContextManager[int]]


def face(client: ClientConnection, number: int) -> np.ndarray:
    """The face that answers a request."""
    while True:
        header, pictures = receive(client)
        if (header["type"], header["id"]) == ("face", number):
            return images.decode(pictures[0])


def test_a_drawing_is_answered_by_its_shadow_and_its_face(
    port: int, service: DrawingService, canvases: list[bytes]
) -> None:
    with join(port) as client:
        client.send(message(7, canvases[:1], wb=[0.1, 0.2, 0.3, 0.4, 0.5]))
        header, pictures = receive(client)
        assert (header["type"], header["id"], header["blank"]) == ("shadow", 7, [])
        assert images.decode_gray(pictures[0]).shape == (64, 64)
        drawn = service.synthesizer.synthesize(service.sketch(canvases[0])[None], wb=[0.1, 0.2, 0.3, 0.4, 0.5])
        assert drawn.projection is not None
        assert header["neighbours"] == dict(zip(PARTS, drawn.projection.indices[0].tolist(), strict=True))
        assert np.array_equal(face(client, 7), drawn.faces[0])


def test_only_what_is_wanted_is_sent(port: int, canvases: list[bytes]) -> None:
    with join(port) as client:
        client.send(message(1, canvases[:1], want=["face"]))
        assert receive(client)[0]["type"] == "face"
        client.send(message(2, canvases[:1], want=["shadow"]))
        assert receive(client)[0]["type"] == "shadow"
        client.send(message(3, [BLANK]))  # nobody wants the face of an empty page
        assert len(receive(client)[0]["blank"]) == 5
        client.send(message(4, canvases[:1], want=["face"]))
        assert receive(client)[0]["id"] == 4


def test_a_bank_choice_keeps_to_its_faces(port: int, canvases: list[bytes]) -> None:
    with join(port) as client:
        for name, rest in (("Male=1", 1), ("Male=0", 0)):
            client.send(message(1, canvases[:1], want=["shadow"], bank=[name]))
            neighbours = receive(client)[0]["neighbours"]
            assert {row % 2 for rows in neighbours.values() for row in rows} == {rest}
        client.send(message(2, canvases[:1], bank=["Hat=1"]))
        assert "Hat=1" in receive(client)[0]["message"]


def test_a_morph_leads_from_one_face_to_the_other(port: int, canvases: list[bytes]) -> None:
    with join(port) as client:
        ends, between = [], []
        for number, canvas in enumerate(canvases[:2]):
            client.send(message(number, [canvas], want=["face"]))
            ends.append(face(client, number))
        for number, share in enumerate((0.0, 0.5, 1.0), start=5):
            client.send(message(number, canvases[:2], type="morph", share=share))
            between.append(face(client, number).astype(int))
    assert np.abs(between[0] - ends[0]).max() <= 1
    assert np.abs(between[2] - ends[1]).max() <= 1
    assert np.abs(between[1] - ends[0]).max() > 0
    assert np.abs(between[1] - ends[1]).max() > 0


class Gated(DrawingService):
    """A service that looks at nothing until it may."""

    def __init__(self, service: DrawingService) -> None:
        self.__dict__.update(copy.copy(service).__dict__)
        self.entered, self.may = threading.Semaphore(0), threading.Semaphore(0)
        self.closed = False

    def analyse(self, *args: Any, **words: Any) -> Any:
        if self.closed:
            self.entered.release()
            assert self.may.acquire(timeout=60)
        return super().analyse(*args, **words)


def test_the_newest_wins_and_the_loop_never_waits(
    service: DrawingService, canvases: list[bytes], serve_service: Serve
) -> None:
    gated = Gated(service)
    with serve_service(gated) as port, join(port) as client:
        gated.closed = True
        client.send(message(1, canvases[:1]))
        assert gated.entered.acquire(timeout=60)
        for number in range(2, 40):
            client.send(message(number, canvases[:1]))
        # While the network is busy, the server answers.
        with urlopen(f"http://127.0.0.1:{port}/api/model", timeout=30) as answer:
            assert answer.status == 200
        client.ping().wait(30)
        gated.closed = False
        gated.may.release()
        seen = [receive(client)[0] for _ in range(3)]
    assert [(header["type"], header["id"]) for header in seen] == [("shadow", 1), ("shadow", 39), ("face", 39)]


def bad(header: object, rest: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "big") + text + rest


GOOD = {"id": 1, "type": "draw", "want": ["face"], "wb": [0.3] * 5, "bank": [""], "sizes": [1]}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0\0", b"\xff\xff\xff\xff{}", b"\0\0\0\x02{}", b"\0\0\0\x02[]", b"\0\0\0\x03{}{", bad([[[]]]),
        bad(GOOD), bad(GOOD, b"xy"), bad(GOOD, b"x"), bad(GOOD | {"sizes": [-1]}), bad(GOOD | {"sizes": [10**12]}),
        bad(GOOD | {"wb": [0.3] * 4}, b"x"), bad(GOOD | {"wb": [7] * 5}, b"x"), bad(GOOD | {"wb": ["x"] * 5}, b"x"),
        bad(GOOD | {"type": "dream"}, b"x"), bad(GOOD | {"want": ["money"]}, b"x"), bad(GOOD | {"more": 1}, b"x"),
        bad(GOOD | {"type": "morph"}, b"x"), bad(GOOD | {"bank": ["../bank"]}, b"x"), bad(GOOD | {"id": "1"}, b"x"),
        bad(GOOD | {"wb": [float("nan")] * 5}, b"x"), b"\0\0\x20\0" + b"[" * 8192, "text",
    ],
)  # fmt: skip
def test_malformed_messages_are_told_and_the_next_answered(port: int, canvases: list[bytes], data: bytes | str) -> None:
    with join(port) as client:
        client.send(data)
        header, _ = receive(client)
        assert header["type"] == "error"
        assert header["message"]
        client.send(message(2, canvases[:1], want=["shadow"]))
        assert receive(client)[0]["id"] == 2


@pytest.mark.parametrize("shape", [(64, 64), (512, 511), (2000, 2000)])
def test_only_a_canvas_is_a_canvas(port: int, shape: tuple[int, int]) -> None:
    with join(port) as client:
        client.send(message(1, [images.encode_png(np.zeros(shape, np.uint8))]))
        assert "512" in receive(client)[0]["message"]
        client.send(message(1, [images.encode_jpeg(np.zeros((512, 512, 3), np.uint8))]))
        assert "PNG" in receive(client)[0]["message"]


def send_and_wait(client: Any, words: bytes) -> None:
    """A refusal may come while the rest is being sent, or when the answer is waited for."""
    client.send(words)
    client.recv(timeout=60)


def test_too_long_a_message_ends_that_client_only(port: int, canvases: list[bytes]) -> None:
    with join(port) as other:
        with join(port) as client:
            with pytest.raises(ConnectionClosed) as closed:
                send_and_wait(client, bytes(MOST_MESSAGE + 1))
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        other.send(message(1, canvases[:1]))
        assert face(other, 1).shape == (64, 64, 3)


@pytest.mark.parametrize("words", [{"origin": "http://evil.example"}, {"additional_headers": {"Host": "evil.example"}}])
def test_foreign_pages_may_not_join(port: int, words: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatus), join(port, **words):
        pass


def test_ten_thousand_messages_in_a_row_leave_the_others_alone(port: int, canvases: list[bytes]) -> None:
    with join(port) as flood, join(port) as calm:
        for number in range(10_000):
            flood.send(message(number, [b"x"], want=["shadow"]))
            if number == 5000:
                calm.send(message(1, canvases[2:3]))
        flood.send(message(20_000, canvases[1:2]))
        mine, theirs = face(calm, 1), face(flood, 20_000)
    assert not np.array_equal(mine, theirs)


class Deaf:
    """A client that asks for a face and takes nothing."""

    def __init__(self, data: bytes) -> None:
        self.messages: list[dict[str, Any]] = [{"type": "websocket.receive", "bytes": data}]

    async def receive(self) -> dict[str, Any]:
        while not self.messages:
            await asyncio.sleep(60)
        return self.messages.pop()

    async def send_bytes(self, _: bytes) -> None:
        await asyncio.sleep(60)


def test_one_who_never_reads_is_let_go(
    service: DrawingService, canvases: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SEND_SECONDS", 0.1)

    async def serve() -> None:
        async with WorkQueue() as queue:
            deaf: Any = Deaf(message(1, canvases[:1]))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.Session(deaf, service, queue.run).serve(), 50)

    start = time.monotonic()
    asyncio.run(serve())
    assert time.monotonic() - start < 40


def test_one_who_leaves_in_the_middle_is_not_missed(port: int, canvases: list[bytes]) -> None:
    for _ in range(5):
        with join(port) as client:
            client.send(message(1, canvases[:1]))
            client.socket.shutdown(socket.SHUT_RDWR)
    with join(port) as client:
        client.send(message(2, canvases[:1]))
        assert face(client, 2).shape == (64, 64, 3)
