"""Requests and messages of any shape: an answer below 500 or an error message, and the server goes on."""

from __future__ import annotations

import http.client
import json
import random
import socket

import numpy as np
import pytest
from page_clients import BLANK, call, join, message, receive, refusal

from sketchprep.errors import UserError
from sketchprep.serve.protocol import unpack

ODD = [
    "", "*", ",", "[", "]", "[::1", "[::1]", "[::1],[::1]", "[v1.x]", "[127.0.0.1]", '["a","b"]', "a, b", "127.0.0.1:",
    "127.0.0.1:x", "127.0.0.1:99999999", "127.0.0.1,127.0.0.1", "@", "a@127.0.0.1", "127.0.0.1#x", "127.0.0.1/x", "%",
    "%00", "\u2100", "\xff\xfe", "\u212a", "xn--\xdf", "http://", "http://[::1", "http://]", "http://[x]:1", "null",
    "javascript:1", "http://a:b:c", "//", "a" * 3000, "http://\u2488.example", "..", "127.0.0.1\t", " 127.0.0.1",
]  # fmt: skip
PATHS = [
    "/", "/api", "/api/", "/api/model", "/api/examples", "/api/openapi.json", "/ws", "/static/page.js", "/static/",
    "/api/parts/nose/3.png", "/api/parts/nose/%ff.png", "/api/parts//.png", "/examples/%00", "/api/picture",
    "/api/place", "/api/synthesize", "//", "/%", "/%2e%2e", "/api%2fmodel", "/\xe4", "/;", "/?", "*",
]  # fmt: skip
QUERIES = ["", "?", "?wb", "?wb=", "?wb=0.5&wb=mouth=1", "?wb[]=1", "?kind=&kind=photo", "?clean=maybe", "?bank=%00",
           "?%ff=%fe", "?a[b]=c", "?wb=" + "9" * 5000, "?align[]=none", "?=", "?&&", "?wb=nan,inf,-0"]  # fmt: skip
TYPES = ["", "image/png", "multipart/form-data", "multipart/form-data; boundary=", "application/json; charset=x", ";"]
VALUES = [None, True, -1, 2**70, 1.5, float("nan"), float("inf"), "", "draw", "x" * 300, [], [[]], {}, [None], [1e309],
          ["shadow", "face", "shadow"], [0.5] * 5, [2**63], [-1], "\ud800", {"a": [{}]}]  # fmt: skip


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_odd_requests_are_answered_below_500(port: int, canvases: list[bytes], count: int) -> None:
    rng = random.Random(0)
    for number in range(count):
        status = answered(port, rng, canvases)
        assert status is None or 200 <= status < 500, number
    assert call(port, "/api/synthesize", canvases[0])[0].status == 200


def answered(port: int, rng: random.Random, canvases: list[bytes]) -> int | None:
    """Status of one odd request; None if the connection was closed without any."""
    own = f"127.0.0.1:{port}"
    path = rng.choice(PATHS) + rng.choice(QUERIES)
    method = rng.choice(["GET", "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW"])
    host = rng.choice([own, own, rng.choice(ODD)])
    body = rng.choice([b"", b"x", rng.randbytes(99), damaged(rng, rng.choice(canvases)), BLANK])
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"Host: {rng.choice(ODD)}"] * (rng.random() < 0.1)
    lines += [f"Origin: {rng.choice([f'http://{own}', *ODD])}"] * rng.choice([0, 1, 1, 2])
    lines += [f"Content-Type: {rng.choice(TYPES)}"] * rng.choice([0, 1])
    lines += ["Upgrade: websocket", "Sec-WebSocket-Version: 13"] * (rng.random() < 0.1)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)
        answer = http.client.HTTPResponse(connection, method=method)
        try:
            answer.begin()
            text = answer.read()
        except (http.client.HTTPException, ConnectionError):
            return None
    assert b"Traceback" not in text
    return answer.status


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes with some changed, lost or doubled."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 20])):
        at = rng.randrange(len(found))
        choice = rng.randrange(3)
        if choice == 0:
            found[at] ^= 1 << rng.randrange(8)
        elif choice == 1:
            del found[at : at + rng.randrange(1, 60)]
        else:
            found[at:at] = rng.randbytes(rng.randrange(1, 60))
        if not found:
            return b""
    return bytes(found)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_odd_messages_are_answered_and_the_client_goes_on(port: int, canvases: list[bytes], count: int) -> None:
    rng = random.Random(0)
    with join(port) as client:
        for _ in range(count):
            data = odd_message(rng, canvases)
            client.send(data)
            try:
                request = unpack(data).request
            except UserError:
                assert receive(client)[0]["type"] == "error"
                continue
            kinds = {receive(client)[0]["type"]} if request.type == "morph" or request.want else {""}
            assert kinds <= {"shadow", "face", "error", ""}
        client.send("text is no message")
        client.send(message(4242, canvases[:1], want=["shadow"]))
        while receive(client)[0]["id"] != 4242:
            pass


def odd_message(rng: random.Random, canvases: list[bytes]) -> bytes:
    """A message with damaged bytes, or with values of other types and ranges in its header."""
    canvas = rng.choice([*canvases, BLANK, b"", b"x", b"\x89PNG\r\n\x1a\n"])
    if rng.random() < 0.4:
        return damaged(rng, message(1, [canvas], want=["shadow"]))
    keys = rng.sample(["id", "type", "wb", "bank", "share", "sizes", "more"], rng.choice([1, 1, 2]))
    return message(1, [canvas], want=["shadow"], **{key: rng.choice(VALUES) for key in keys})


@pytest.mark.parametrize("path", ["/api/synthesize?wbb=0.2", "/api/picture?wb=0.2", "/api/place?x", "/api/model?wb=1"])
def test_parameters_that_do_not_exist_are_refused(port: int, canvases: list[bytes], path: str) -> None:
    status, text = refusal(port, path, None if "model" in path else canvases[0])
    assert status == 400
    assert "there is no such parameter" in text
    assert "did you mean 'wb'?" in text or "wbb" not in path


def test_a_form_is_told_how_to_send_the_picture(port: int, canvases: list[bytes]) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + canvases[0] + b"\r\n--b--"
    status, text = refusal(port, "/api/synthesize", body, **kind)
    assert status == 415
    assert "--data-binary" in text


def test_a_part_may_name_the_model_that_it_is_cached_for(port: int) -> None:
    digest = json.loads(call(port, "/api/model")[1])["digest"]
    assert call(port, f"/api/parts/nose/3.png?model={digest}")[0].status == 200
    assert np.unique([call(port, f"/api/parts/nose/3.png?model={m}")[0].status for m in ("", "x")]).tolist() == [200]
