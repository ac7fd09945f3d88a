"""A tiny model with random weights and the bank of drawn faces, and real servers of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchprep import imageio
from sketchprep.draw import Artist, encoders_digest
from sketchprep.manifold import make_bank
from sketchprep.models.deepfacedrawing import Architecture
from sketchprep.models.face_model import build, load_face_model, save_face_model
from sketchprep.serve.app import create_app
from sketchprep.serve.guard import LOOPBACK
from sketchprep.serve.run import bind, server
from sketchprep.serve.studio import Studio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from drawn_faces import draw

SIZE, FACES = 64, 40
ARCHITECTURE = Architecture(
    size=SIZE, latent=24, width=8, fm_channels=4, fm_width=4, ngf=8, downs=2, blocks=1, upsample="resize", narrow=4
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a model and its bank, whose even faces are women."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("served")
    torch.manual_seed(0)
    save_face_model(build(ARCHITECTURE).state_dict(), ARCHITECTURE, folder / "deepfacedrawing.safetensors")
    model = load_face_model(folder)
    codes = model.encode(np.stack([draw(number, SIZE)[1] for number in range(FACES)]))
    male = np.where(np.arange(FACES) % 2, 1, -1).astype(np.int8)
    bank = make_bank(codes, [f"face-{n}" for n in range(FACES)], encoders_digest(model), {"Male": male})
    bank.save(folder / "bank.safetensors")
    return folder


@pytest.fixture(scope="session")
def artist(run: Path) -> Artist:
    from sketchprep.draw import open_artist

    return open_artist(run, device="cpu")


@pytest.fixture(scope="session")
def studio(artist: Artist) -> Studio:
    return Studio(artist, device="cpu", offline=True)


@contextmanager
def running(studio: Studio, port: int = 0) -> Iterator[int]:
    """A server in a thread; its port."""
    bound = bind("127.0.0.1", port)
    served = server(create_app(studio, hosts=LOOPBACK))
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
def port(studio: Studio) -> Iterator[int]:
    """Of a server that the tests of a run share."""
    with running(studio) as found:
        yield found


@pytest.fixture(scope="session")
def serve_studio() -> Callable[..., object]:
    return running


@pytest.fixture(scope="session")
def canvases() -> list[bytes]:
    """Drawings of the page's size as PNG."""
    return [imageio.encode_png(draw(number, 512)[1]) for number in range(100, 104)]
