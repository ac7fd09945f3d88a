"""A tiny model with random weights and the bank of drawn faces, and real servers of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_faces import draw
from small_face_model import SIZE, fresh, write_model

from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing.bank import make_bank
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer, encoders_digest
from sketchprep.models.deepfacedrawing.networks.model import load_face_model
from sketchprep.serve.app import create_app
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.security import LOOPBACK
from sketchprep.serve.server import bind, server

FACES = 40


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a model and its bank, whose even faces are women."""
    folder = write_model(tmp_path_factory.mktemp("served"), fresh())
    model = load_face_model(folder)
    codes = model.encode(np.stack([draw(number, SIZE)[1] for number in range(FACES)]))
    male = np.where(np.arange(FACES) % 2, 1, -1).astype(np.int8)
    bank = make_bank(codes, [f"face-{n}" for n in range(FACES)], encoders_digest(model), {"Male": male})
    bank.save(folder / "bank.safetensors")
    return folder


@pytest.fixture(scope="session")
def synthesizer(run: Path) -> Synthesizer:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer

    return open_synthesizer(run, device="cpu")


@pytest.fixture(scope="session")
def service(synthesizer: Synthesizer) -> DrawingService:
    return DrawingService(synthesizer, device="cpu", offline=True)


@contextmanager
def running(service: DrawingService, port: int = 0, **words: Any) -> Iterator[int]:
    """A server in a thread; its port.  `words` as for `create_app`."""
    bound = bind("127.0.0.1", port)
    served = server(create_app(service, hosts=LOOPBACK, **words))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        while not served.started and thread.is_alive():
            time.sleep(0.02)
        yield bound.getsockname()[1]
    finally:
        served.should_exit = True
        thread.join(20)
        bound.close()


@pytest.fixture(scope="session")
def port(service: DrawingService) -> Iterator[int]:
    """Of a server that the tests of a run share."""
    with running(service) as found:
        yield found


@pytest.fixture(scope="session")
def serve_service() -> Callable[..., object]:
    return running


@pytest.fixture(scope="session")
def canvases() -> list[bytes]:
    """Drawings of the page's size as PNG."""
    return [images.encode_png(draw(number, 512)[1]) for number in range(100, 104)]
