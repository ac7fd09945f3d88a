"""A face model of 64 px that is written in moments, and a run's folder of it with the bank of drawn faces."""

from __future__ import annotations

from pathlib import Path

import torch
from drawn_faces import write_faces
from torch import Tensor

from sketchprep.models.deepfacedrawing.drawing.build_bank import make_model_bank
from sketchprep.models.deepfacedrawing.networks.model import build, save_face_model
from sketchprep.models.deepfacedrawing.networks.modules import Architecture

SIZE = 64
ARCHITECTURE = Architecture(
    size=SIZE, latent=24, width=8, fm_channels=4, fm_width=4, ngf=8, downs=2, blocks=1, upsample="resize", narrow=4
)


def fresh() -> dict[str, Tensor]:
    """Weights that have learnt nothing, each time the same."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return build(ARCHITECTURE).state_dict()


def write_model(folder: Path, state: dict[str, Tensor]) -> Path:
    """Write the model of these weights into the folder, as training leaves it."""
    save_face_model(state, ARCHITECTURE, folder / "deepfacedrawing.safetensors", facts={"licences": []})
    return folder


def write_run(folder: Path, state: dict[str, Tensor], *, train: int, test: int) -> Path:
    """Write the model, a dataset of so many drawn faces into ``data``, and the bank of those it may know."""
    write_faces(folder / "data", size=SIZE, train=train, test=test)
    write_model(folder, state)
    make_model_bank(folder, folder / "data", device="cpu")
    return folder
