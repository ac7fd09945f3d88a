"""The FastAPI application: static page, HTTP API, and the WebSocket that draws."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.websockets import WebSocketDisconnect

from sketchprep.core.config import did_you_mean
from sketchprep.core.version import VERSION
from sketchprep.errors import SampleError, UserError
from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing.synthesizer import parse_wb
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.limits import CANVAS, MOST_CLIENTS, MOST_PICTURE, MOST_WAITING
from sketchprep.serve.proxy_path import ProxyPath
from sketchprep.serve.security import LOOPBACK, Guard
from sketchprep.serve.session import Session
from sketchprep.serve.work_queue import WorkQueue

__all__ = ["create_app"]

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
EXAMPLES = HERE.parent / "data" / "sketches"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".js": "text/javascript; charset=utf-8", ".png": "image/png"}  # fmt: skip
TOO_LARGE = f"the picture has more than {MOST_PICTURE >> 20} MB; send a smaller one"
NO_FORM = "a form was sent; send the picture itself as the body, as `curl --data-binary @drawing.png` does"

Kind = Annotated[Literal["auto", "sketch", "photo"], Query(description="What the picture is.")]
Align = Annotated[Literal["none", "ink", "face"], Query(description="How to move a drawing into the frame.")]
Clean = Annotated[bool, Query(description="Simplify a rough drawing first.")]
Model = Annotated[str, Query(max_length=200, description="Of /api/model: its digest, for caches.")]
PICTURE = {
    "requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "PNG"}}


def create_app(
    service: DrawingService, *, hosts: Iterable[str] = LOOPBACK, origins: Iterable[str] = (), root_path: str = ""
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    service : DrawingService
    hosts, origins : iterable of str
        Names it answers to, and other pages that may send requests, see `sketchprep.serve.security.Guard`.
    root_path : str
        Path under which a proxy shows it, see `sketchprep.serve.proxy_path`.

    Returns
    -------
    FastAPI
    """
    drawing, reading = WorkQueue(), WorkQueue()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with drawing, reading:
            await drawing.run(service.warm)
            preparing = asyncio.create_task(_prepare(service, drawing))
            yield
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    app = FastAPI(
        title="sketchprep", version=VERSION, description="Draws faces from sketches.", docs_url=None,
        redoc_url=None, openapi_url="/api/openapi.json", lifespan=lifespan,
        redirect_slashes=False,  # a redirect would lead past the proxy
    )  # fmt: skip
    if root_path.strip("/"):
        app.add_middleware(ProxyPath, path=root_path)
    app.add_middleware(Guard, hosts=hosts, origins=origins)
    _add_errors(app)
    _add_files(app)
    _add_api(app, service, drawing, reading)
    _add_socket(app, service, drawing)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(UserError)
    async def mistake(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(SampleError)
    async def unusable(_: Request, error: SampleError) -> JSONResponse:
        return JSONResponse({"error": error.message, "kind": error.kind}, 422)

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{fault['loc'][-1]}: {fault['msg']}"[:300] for fault in error.errors()]
        return JSONResponse({"error": "; ".join(faults)}, 422)


def _add_files(app: FastAPI) -> None:
    """The page and the examples: read once, found by name, so that no path leads elsewhere."""
    pages = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in TYPES}
    examples = {path.name: path.read_bytes() for path in sorted(EXAMPLES.glob("*.png"))}

    def answer(files: dict[str, bytes], name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return Response(files[name], media_type=TYPES[Path(name).suffix], headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return answer(pages, "index.html")

    @app.get("/api", include_in_schema=False)
    async def described() -> Response:
        return answer(pages, "api.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return answer(pages, name)

    @app.get("/examples/{name}", include_in_schema=False)
    async def example(name: str) -> Response:
        return answer(examples, name)

    @app.get("/api/examples")
    async def list_examples() -> list[str]:
        """Names of the sketches to start from; each is at /examples/NAME."""
        return list(examples)


def _add_api(app: FastAPI, service: DrawingService, drawing: WorkQueue, reading: WorkQueue) -> None:
    api = APIRouter(dependencies=[Depends(_refuse_unknown)])

    @api.get("/api/model")
    async def model() -> dict[str, Any]:
        """Size, parts with their windows on the canvas, and choices of the bank."""
        return service.about()

    @api.get("/api/parts/{part}/{row}.png", responses=PNG, response_class=Response)
    async def part(part: str, row: int, model: Model = "") -> Response:
        """The sketch of a part of a face of the bank."""
        png = await drawing.run(service.part, part, row, urgency="first")
        return Response(png, media_type="image/png", headers={"cache-control": "private, max-age=3600"})

    @api.post("/api/picture", responses=PNG, response_class=Response, openapi_extra=PICTURE)
    async def picture(request: Request, kind: Kind = "auto", align: Align = "none", clean: Clean = False) -> Response:
        """A sketch or photo as a black-on-white sketch of 512 × 512 px, in the frame of the canvas."""
        data = await _body(request, reading)
        options: dict[str, Any] = {"kind": kind, "align": None if align == "none" else align, "clean": clean}
        aligned = await reading.run(service.read, data, size=CANVAS, **options)
        headers = {"x-kind": aligned.kind, "x-notes": "; ".join(aligned.notes).encode("ascii", "replace").decode()}
        return Response(images.encode_png(aligned.sketch), media_type="image/png", headers=headers)

    @api.post("/api/place", responses=PNG, response_class=Response, openapi_extra=PICTURE)
    async def place(request: Request) -> Response:
        """A canvas whose drawing has been moved to where the model looks for a face."""
        data = await _body(request, drawing)
        return Response(await drawing.run(service.place, data), media_type="image/png")

    @api.post("/api/synthesize", responses=PNG, response_class=Response, openapi_extra=PICTURE)
    async def synthesize(
        request: Request,
        wb: Annotated[list[str] | None, Query(description="0.3, or mouth=0.8; several with commas.")] = None,
        bank: Annotated[str, Query(max_length=200, description="A choice that /api/model lists.")] = "",
        kind: Kind = "auto",
        align: Align = "none",
        clean: Clean = False,
    ) -> Response:
        """Draw the face of a sketch or photo, sent as the body of the request."""
        weights = parse_wb(wb or [])
        data = await _body(request, reading)
        options: dict[str, Any] = {"kind": kind, "align": None if align == "none" else align, "clean": clean}
        face = await reading.run(service.synthesize, data, wb=weights, bank=bank, **options)
        return Response(face, media_type="image/png")

    app.include_router(api)


async def _refuse_unknown(request: Request) -> None:
    """Refuse parameters that a path does not have, which would otherwise decide nothing in silence."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            raise HTTPException(400, f"{name[:40]!r}: there is no such parameter ({did_you_mean(name[:40], known)})")


def _add_socket(app: FastAPI, service: DrawingService, drawing: WorkQueue) -> None:
    clients = 0

    @app.websocket("/ws")
    async def draw(socket: WebSocket) -> None:
        nonlocal clients
        await socket.accept()
        if clients >= MOST_CLIENTS:
            await socket.close(1013, "too many people draw at once; try again later")
            return
        clients += 1
        try:
            await Session(socket, service, drawing.run).serve()
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            pass  # gone, or not reading
        finally:
            clients -= 1


async def _prepare(service: DrawingService, drawing: WorkQueue) -> None:
    """Fill the part cache while nobody draws, so that no shadow waits for a network."""
    while await drawing.run(service.prepare, urgency="idle"):
        pass


async def _body(request: Request, queue: WorkQueue) -> bytes:
    if len(queue) >= MOST_WAITING:
        raise HTTPException(503, "too many pictures wait already; try again in a moment")
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(415, NO_FORM)
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_PICTURE:
        raise HTTPException(413, TOO_LARGE)
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_PICTURE:
            raise HTTPException(413, TOO_LARGE)
    return bytes(data)
