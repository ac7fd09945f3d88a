"""Opens the model, binds the socket and runs uvicorn."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.core import weights
from sketchprep.errors import UserError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

__all__ = ["bind", "serve", "server"]


def serve(
    model: Path,
    *,
    bank_file: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    open_page: bool = False,
    allow: Iterable[str] = (),
    origins: Iterable[str] = (),
    root_path: str = "",
    device: str = "auto",
    offline: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    model : path
        Run, or a model's file.
    bank_file : path, optional
        By default the bank beside the model.
    host, port
        To bind; port 0 takes a free one.
    open_page : bool
        Open it in the browser.
    allow : iterable of str
        Further names that the server answers to.
    origins : iterable of str
        Addresses under which a proxy shows the page, for instance ``"https://faces.example.org"``.
    root_path : str
        Path under which a proxy shows it.
    device, offline
        As elsewhere.
    say : callable
        Gets the address once there is one.

    Raises
    ------
    UserError
        If the port is taken, the extra is not installed, or the model cannot be opened.
    """
    try:
        import uvicorn  # noqa: F401  their absence is told here, before a model is loaded
        import websockets  # noqa: F401

        from sketchprep.serve.app import create_app
    except ModuleNotFoundError as error:
        raise UserError(f"serve needs {error.name}; install it with `pip install 'sketchprep[serve]'`") from None
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer
    from sketchprep.serve.drawing import DrawingService
    from sketchprep.serve.security import hosts_for, origin

    pages = [origin(address) for address in origins]
    bound = bind(host, port)
    where = {"run": model} if model.is_dir() or not model.exists() else {"model": model}
    synthesizer = open_synthesizer(**where, bank=bank_file, device=device)  # type: ignore[arg-type]
    service = DrawingService(synthesizer, device=device, offline=offline, folder=weights.cache_folder() / "parts")
    app = create_app(service, hosts=hosts_for(host, allow, pages), origins=pages, root_path=root_path)
    address = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}/"
    say(f"draw at {address}  (Ctrl+C ends it)")
    if synthesizer.bank is None:
        say("  without a bank there is no shadow; make one with `sketchprep bank`")
    if open_page:
        webbrowser.open(address)
    server(app).run(sockets=[bound])


def server(app: FastAPI) -> uvicorn.Server:
    """Uvicorn server of the application, with its limits."""
    import uvicorn

    from sketchprep.serve.limits import MOST_MESSAGE

    return uvicorn.Server(
        uvicorn.Config(
            app, ws="websockets-sansio", ws_max_size=MOST_MESSAGE, ws_max_queue=2, ws_per_message_deflate=False,
            log_level="warning", access_log=False, server_header=False, proxy_headers=False, limit_concurrency=256,
            timeout_graceful_shutdown=3,
        )
    )  # fmt: skip


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, or a UserError that names the option."""
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: must be from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        remedy = "take another port" if error.errno in (98, 48, 13) else "take another address"
        raise UserError(f"--host {host} --port {port}: {error.strerror or error}; {remedy}") from None
    return bound
