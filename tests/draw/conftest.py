"""A face model of 64 px, trained for seconds on drawn faces, with the bank of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchprep.draw import Artist, open_artist
from sketchprep.makebank import make_model_bank
from sketchprep.models.deepfacedrawing import Architecture, Autoencoder, part_images
from sketchprep.models.face_model import build, save_face_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from drawn_faces import draw, write_faces

SIZE = 64
ARCHITECTURE = Architecture(
    size=SIZE, latent=24, width=8, fm_channels=4, fm_width=4, ngf=8, downs=2, blocks=1, upsample="resize", narrow=4
)
STEPS = {"remainder": 25}  # the large part is dear


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a model, its bank and, in ``data``, the dataset; tests must not change it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("studio")
    write_faces(folder / "data", size=SIZE, train=48, test=12)
    torch.manual_seed(0)
    networks = build(ARCHITECTURE)
    state = networks.state_dict()
    sketches = torch.from_numpy(np.stack([draw(number, SIZE)[1] for number in range(48)])).float()[:, None] / 127.5 - 1
    for part, images in part_images(sketches, SIZE).items():
        trained = train(part, images).state_dict()
        state |= {f"encoders.parts.{part}.{k[8:]}": v for k, v in trained.items() if k.startswith("encoder.")}
        state |= {f"image_decoders.{part}.{k[8:]}": v for k, v in trained.items() if k.startswith("decoder.")}
    save_face_model(state, ARCHITECTURE, folder / "deepfacedrawing.safetensors", facts={"licences": []})
    make_model_bank(folder, folder / "data", device="cpu")
    return folder


def train(part: str, images: torch.Tensor) -> Autoencoder:
    net = Autoencoder(part, ARCHITECTURE).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    for step in range(STEPS.get(part, 60)):
        some = images[torch.arange(step * 16, step * 16 + 16) % len(images)]
        loss = ((net(some) - some) ** 2 * (1 + 3 * (some < 0))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


@pytest.fixture(scope="session")
def artist(run: Path) -> Artist:
    return open_artist(run, device="cpu")


@pytest.fixture(scope="session")
def sketches() -> np.ndarray:
    """Drawings that the model never saw, in the frame; uint8 (4, 64, 64)."""
    return np.stack([draw(number, SIZE)[1] for number in range(100, 104)])
