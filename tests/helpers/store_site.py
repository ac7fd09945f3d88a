"""A real S3-compatible server in a process of its own, and a proxy before it that a test can make fail."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = "testing-key-id"
SECRET = "testing-secret-that-must-never-be-shown"


class Fault:
    """What the proxy does to a request that `matches`, `times` times: a status, ``"reset"`` or ``"cut"``."""

    def __init__(self, kind: int | str, matches: str, times: int = 1, code: str = "SlowDown") -> None:
        self.kind, self.times, self.code = kind, times, code
        self.pattern = re.compile(matches)
        self.seen = 0


class Store:
    """The server and its proxy; `url` is the proxy's address, `direct` the server's."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.direct = f"http://127.0.0.1:{self.port}"
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.hook: Callable[[str], None] = lambda line: None
        self.log = (folder / "store.log").open("wb")
        command = shutil.which("moto_server", path=str(Path(sys.executable).parent))
        assert command, "moto[server] is not installed"
        self.process = subprocess.Popen(
            [command, "-H", "127.0.0.1", "-p", str(self.port)], stdout=self.log, stderr=self.log
        )
        self.proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.proxy.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.proxy.server_address[1]}"
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()
        self._wait()

    def _wait(self) -> None:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.direct}/moto-api/", timeout=2).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        self.proxy.shutdown()
        self.proxy.server_close()
        self.process.kill()
        self.process.wait()
        self.log.close()

    def fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.seen < fault.times and fault.pattern.search(line):
                fault.seen += 1
                return fault
        return None


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def error_xml(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} it is</Message></Error>".encode()


def _handler(store: Store) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def _serve(self) -> None:
            line = f"{self.command} {self.path}"
            store.requests.append(line)
            store.hook(line)
            length = int(self.headers.get("Content-Length") or 0)
            if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
                self.rfile.read(length)
                self._answer(403, error_xml("InvalidAccessKeyId"))
                return
            fault = store.fault(line)
            if fault is not None and fault.kind == "reset":
                self.rfile.read(min(length, 1000))
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if fault is not None and isinstance(fault.kind, int):
                self.rfile.read(length)
                self._answer(fault.kind, error_xml(fault.code))
                return
            self._forward(line, self.rfile.read(length), cut=fault is not None)

        def _forward(self, line: str, body: bytes, cut: bool) -> None:
            if cut and self.command == "PUT":  # the store takes half and says that all is well
                body = body[: len(body) // 2]
            there = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
            dropped = {"content-length", "host", "connection", "expect", "content-md5"}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
            if cut:
                headers = {k: v for k, v in headers.items() if "checksum" not in k.lower()}
            headers["Content-Length"] = str(len(body))
            there.request(self.command, self.path, body, headers)
            answer = there.getresponse()
            data = answer.read()
            there.close()
            kept = {"transfer-encoding", "connection", "server", "date"}
            found = [(k, v) for k, v in answer.getheaders() if k.lower() not in kept]
            self.send_response(answer.status)
            if self.command != "HEAD":
                found = [(k, v) for k, v in found if k.lower() != "content-length"]
                found.append(("Content-Length", str(len(data))))
            for name, value in found:
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(data[: len(data) // 2] if cut and self.command == "GET" else data)
            if cut and self.command == "GET":
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    return Handler
