"""ASGI middleware: host and origin checks, and security headers."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "hosts_for", "origin"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_ADDRESS = "*address*"
DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # which a browser leaves out
_NAME = r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])"
_AUTHORITY = re.compile(_NAME + r"(:[0-9]{1,5})?")
_ORIGIN = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>{_AUTHORITY.pattern})?")
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


class Fault(NamedTuple):
    """Status and sentence of a refusal."""

    status: int
    sentence: str


class Guard:
    """Refuses foreign hosts and origins, and adds the headers that keep a page to itself.

    Another site's page can send requests to a server on this machine, and a name that it owns can be made to point
    here; both are told by the Host and Origin that a browser sends.

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        Names that the server answers to, see `hosts_for`.
    origins : iterable of str
        Origins of pages that may send requests besides those of the server's own name, see `origin`.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = LOOPBACK, origins: Iterable[str] = ()) -> None:
        self.app, self.hosts, self.origins = app, frozenset(hosts), frozenset(origins)

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

    def fault(self, scope: Scope) -> Fault | None:
        """Say why a request is refused, or None."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        host = _AUTHORITY.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return Fault(400, "the request names no host, or one that is no name or address")
        if not self._known(host["name"].strip("[]")):
            return Fault(403, "this server does not answer to that name; start it with --allow-host NAME")
        if not origins:  # a script has none; a browser always sends one with a WebSocket or a POST
            return None
        page = _ORIGIN.fullmatch(origins[0]) if len(origins) == 1 else None
        if page is None and origins != ["null"]:
            return Fault(400, "the request's Origin is none")
        # What is only read a browser keeps from other pages; behind a proxy it names an Origin for the page's scripts.
        asks = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if asks and (page is None or not (page["authority"] == hosts[0] or origins[0] in self.origins)):
            return Fault(
                403,
                "requests from another site's page are refused; if that page is this server's own, seen through a "
                "proxy, start it with --allow-origin ADDRESS",
            )
        return None

    def _known(self, name: str) -> bool:
        return name in self.hosts or (ANY_ADDRESS in self.hosts and _is_address(name))


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for name, value in scope["headers"] if name == header]


def origin(address: str) -> str:
    """Scheme, name and port of a page's address, as a browser sends them.

    Raises
    ------
    UserError
        If it is no such address.
    """
    found = _ORIGIN.match(address.strip().lower())
    if found is None or found["authority"] is None or found["scheme"] not in DEFAULT_PORTS:
        raise UserError(f"--allow-origin {address}: is no address of a page; write it as https://faces.example.org")
    return found[0].removesuffix(DEFAULT_PORTS[found["scheme"]])


def hosts_for(bound: str, extra: Iterable[str] = (), origins: Iterable[str] = ()) -> list[str]:
    """Names to answer to: those of the loopback, the address bound, names and pages that the user allows.

    Bound to other than the loopback, any bare address is good too: only names can be made to point elsewhere.
    """
    pages = [_AUTHORITY.match(page.partition("://")[2]) for page in origins]
    names = [*LOOPBACK, bound.lower(), *(name.lower() for name in extra)]
    names += [page["name"].strip("[]") for page in pages if page]
    return names if bound in LOOPBACK else [*names, ANY_ADDRESS]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send, fault: Fault) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": fault.sentence})
        return
    body = json.dumps({"error": fault.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
