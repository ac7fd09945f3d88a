"""The page behind a proxy that shows it under a path and an address of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from urllib.parse import urljoin

import pytest
from click.testing import CliRunner
from page_clients import call
from prefix_proxy import prefix_proxy

from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.security import Guard, hosts_for, origin

Serve = Callable[..., AbstractContextManager[int]]
PREFIX = "/user/x/proxy/7860"


@pytest.mark.parametrize(("root_path", "keep"), [("", False), (PREFIX, False), (PREFIX, True)])
def test_page_and_api_are_whole_under_a_path(
    serve_service: Serve, service: DrawingService, canvases: list[bytes], root_path: str, keep: bool
) -> None:
    with serve_service(service, root_path=root_path) as inner, prefix_proxy(inner, PREFIX, keep=keep) as port:
        for page, wanted in ((f"{PREFIX}/", b"page.js"), (f"{PREFIX}/api", b"api.js")):
            answer, text = call(port, page)
            assert answer.status == 200
            assert wanted in text
            for name in ("static/page.css", "static/page.js", "static/icon.svg", "api/openapi.json", "api/model"):
                assert call(port, urljoin(page, name))[0].status == 200
        servers = json.loads(call(port, f"{PREFIX}/api/openapi.json")[1]).get("servers", [])
        assert servers == ([{"url": PREFIX}] if root_path else [])
        assert call(port, f"{PREFIX}/api/synthesize", canvases[0])[0].status == 200
        if keep:
            answer, _ = call(port, PREFIX)
            assert (answer.status, answer.headers["location"]) == (307, f"{PREFIX}/")


def test_posts_of_the_page_need_the_address_that_the_proxy_shows(
    serve_service: Serve, service: DrawingService, canvases: list[bytes]
) -> None:
    with serve_service(service) as inner, prefix_proxy(inner, PREFIX) as port:
        answer, body = call(port, f"{PREFIX}/api/place", canvases[0], Origin=f"http://127.0.0.1:{port}")
        assert answer.status == 403
        assert "--allow-origin" in json.loads(body)["error"]
        own = origin(f"http://127.0.0.1:{port}/{PREFIX}/")
    with serve_service(service, origins=[own]) as inner, prefix_proxy(inner, PREFIX) as port:
        assert call(port, f"{PREFIX}/api/place", canvases[0], Origin=own)[0].status == 200
        assert call(port, f"{PREFIX}/api/place", canvases[0], Origin="http://evil.example")[0].status == 403


def test_an_origin_that_is_allowed_names_a_host_too() -> None:
    pages = [origin("HTTPS://Faces.Example.org:443/draw?x"), origin("http://[2001:db8::1]:8080")]
    assert pages == ["https://faces.example.org", "http://[2001:db8::1]:8080"]
    guard = Guard(None, hosts=hosts_for("127.0.0.1", (), pages), origins=pages)  # type: ignore[arg-type]

    def status(host: str, page: str) -> int:
        headers = [(b"host", host.encode()), (b"origin", page.encode())]
        fault = guard.fault({"type": "http", "method": "POST", "headers": headers})
        return 200 if fault is None else fault.status

    assert status("faces.example.org", "https://faces.example.org") == 200
    assert status("127.0.0.1:7860", "https://faces.example.org") == 200
    assert status("[2001:db8::1]:8080", "http://[2001:db8::1]:8080") == 200
    assert status("127.0.0.1:7860", "http://faces.example.org") == 403
    assert status("127.0.0.1:7860", "http://[::1") == 400


@pytest.mark.parametrize("address", ["faces.example.org", "*", "https://", "ftp://a", "http://[::1", "https://a b"])
def test_what_is_no_address_is_refused_before_a_model_is_opened(address: str) -> None:
    if address == "https://a b":
        assert origin(address) == "https://a"  # a path may hold anything
        return
    with pytest.raises(UserError, match="write it as https://"):
        origin(address)
    done = CliRunner().invoke(main, ["serve", "--allow-origin", address, "--port", "0"])
    assert (done.exit_code, done.output.count("Error: --allow-origin")) == (2, 1)
