"""ASGI middleware: host and origin checks, and security headers."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "hosts_for"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_ADDRESS = "*address*"
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Refuses foreign hosts and origins, and adds the headers that keep a page to itself.

    Another site's page can send requests to a server on this machine, and a name that it owns can be made to point
    here; both are told by the Host and Origin that a browser sends.

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        Names that the server answers to, see `hosts_for`.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = LOOPBACK) -> None:
        self.app, self.hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        fault = self.fault(scope)
        if fault is not None:
            await _refuse(scope, receive, send, fault)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        await self.app(scope, receive, with_headers)

    def fault(self, scope: Scope) -> str | None:
        """Say why a request is refused, or None."""
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1 or not self._known(_name(f"//{given[0]}")):
            return "this server does not answer to that name; start it with --allow-host NAME"
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        # A script has no origin; a browser always sends one with a WebSocket or a POST.
        if origins and (len(origins) != 1 or urlsplit(origins[0]).netloc.lower() != given[0].lower()):
            return "requests from another site's page are refused"
        return None

    def _known(self, name: str | None) -> bool:
        return name is not None and (name in self.hosts or (ANY_ADDRESS in self.hosts and _is_address(name)))


def hosts_for(bound: str, extra: Iterable[str] = ()) -> list[str]:
    """Names to answer to: those of the loopback, the address bound, names that the user allows.

    Bound to other than the loopback, any bare address is good too: only names can be made to point elsewhere.
    """
    names = [*LOOPBACK, bound.lower(), *(name.lower() for name in extra)]
    return names if bound in LOOPBACK else [*names, ANY_ADDRESS]


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send, fault: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": fault})
        return
    body = json.dumps({"error": fault}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
