"""ASGI middleware: the path under which a reverse proxy shows the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["ProxyPath"]


class ProxyPath:
    """Tells the application its root path, whether or not the proxy takes that away from the paths of requests.

    Parameters
    ----------
    app : ASGI application
    path : str
        For instance ``"/faces"``; slashes around it do not matter.
    """

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        self.app, self.path = app, f"/{path.strip('/')}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self.path:  # the page's addresses are relative to its slash
            await RedirectResponse(f"{self.path}/")(scope, receive, send)
        elif scope["type"] in ("http", "websocket"):
            await self.app({**scope, "root_path": self.path}, receive, send)
        else:
            await self.app(scope, receive, send)
