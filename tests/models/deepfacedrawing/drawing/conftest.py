"""A face model of 64 px, trained for seconds on drawn faces, with the bank of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_faces import draw
from small_face_model import ARCHITECTURE, SIZE, fresh, write_run

from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer, open_synthesizer
from sketchprep.models.deepfacedrawing.networks.modules import Autoencoder, part_images

STEPS = {"remainder": 25}  # the large part is dear


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a model, its bank and, in ``data``, the dataset; tests must not change it."""
    state = fresh()
    sketches = torch.from_numpy(np.stack([draw(number, SIZE)[1] for number in range(48)])).float()[:, None] / 127.5 - 1
    for part, images in part_images(sketches, SIZE).items():
        trained = train(part, images).state_dict()
        state |= {f"encoders.parts.{part}.{k[8:]}": v for k, v in trained.items() if k.startswith("encoder.")}
        state |= {f"image_decoders.{part}.{k[8:]}": v for k, v in trained.items() if k.startswith("decoder.")}
    return write_run(tmp_path_factory.mktemp("service"), state, train=48, test=12)


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
def synthesizer(run: Path) -> Synthesizer:
    return open_synthesizer(run, device="cpu")


@pytest.fixture(scope="session")
def sketches() -> np.ndarray:
    """Drawings that the model never saw, in the frame; uint8 (4, 64, 64)."""
    return np.stack([draw(number, SIZE)[1] for number in range(100, 104)])
