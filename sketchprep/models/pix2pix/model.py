"""Baseline networks from sketch to photo (pix2pix U-Net, pix2pixHD global generator) and their model files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.models.pix2pix import FILE, NETWORK
from sketchprep.nn.blocks import UPSAMPLES, from_pixels, to_pixels
from sketchprep.nn.checkpoint_file import as_float32, check_shapes, in_run, load_frozen, opened, write
from sketchprep.nn.pix2pixhd import GlobalGenerator
from sketchprep.nn.unet import UNet

__all__ = ["NETWORKS", "Baseline", "Shape", "load_baseline", "save_baseline"]

VERSION = 1
NETWORKS = {"unet": "pix2pix U-Net", "global": "pix2pixHD global generator"}
"""Names of the networks and their titles."""


@dataclass(frozen=True)
class Shape:
    """What fixes the shape of every weight.

    Attributes
    ----------
    network : {"unet", "global"}
    size : int
        Height and width of sketch and photo in pixels.
    ngf : int
        Channels, see `sketchprep.nn.unet.UNet` and `sketchprep.nn.pix2pixhd.GlobalGenerator`.
    downs, blocks : int
        Of the global generator.
    upsample : {"transpose", "resize"}

    Raises
    ------
    UserError
        For a value that no network can have.
    """

    network: str
    size: int
    ngf: int
    downs: int = 4
    blocks: int = 9
    upsample: str = "transpose"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise UserError(f"--network {self.network}: unknown; known: {', '.join(NETWORKS)}")
        if self.size not in (64, 128, 256, 512):
            raise UserError(f"size={self.size}: a frame is 64, 128, 256 or 512 px")
        if min(self.ngf, self.downs, self.blocks) < 1:
            raise UserError(f"ngf={self.ngf}, downs={self.downs}, blocks={self.blocks}: must be 1 or more")
        if self.network == "global" and self.size < 2 ** (self.downs + 1):
            raise UserError(f"downs={self.downs} halves {self.size} px to nothing; use a smaller one")
        if self.upsample not in UPSAMPLES:
            raise UserError(f"upsample={self.upsample!r} is unknown; use {' or '.join(UPSAMPLES)}")

    def build(self) -> nn.Module:
        """The network with fresh weights, from sketches (B, 1, S, S) to photos (B, 3, S, S), both -1..1."""
        if self.network == "unet":
            return UNet(1, size=self.size, ngf=self.ngf, upsample=self.upsample)
        return GlobalGenerator(1, ngf=self.ngf, downs=self.downs, blocks=self.blocks, upsample=self.upsample)


@dataclass
class Baseline:
    """A trained network straight from sketch to photo, in eval mode and frozen.

    Attributes
    ----------
    shape : Shape
    network : Module
    facts : dict
        What the file says of data, licence, length and scores.
    """

    shape: Shape
    network: nn.Module
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the network, ``"unet"`` or ``"global"``."""
        return self.shape.network

    @property
    def size(self) -> int:
        """Height and width of sketch and photo in pixels."""
        return self.shape.size

    def draw(self, sketches: np.ndarray) -> np.ndarray:
        """Photos (B, size, size, 3), uint8 RGB, of sketches (B, size, size), uint8, black on white."""
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(sketches)).to(device)
        with torch.inference_mode():
            return to_pixels(self.network(from_pixels(pixels[:, None])))


def save_baseline(
    tensors: Mapping[str, Tensor], shape: Shape, path: str | Path, *, facts: Mapping[str, Any] | None = None
) -> None:
    """Write a network as safetensors, in float16 where that holds the numbers.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        State of what ``shape.build()`` gives.
    shape : Shape
    path : path
    facts : mapping, optional
        JSON values for the header.
    """
    write(tensors, path, {"network": NETWORK, "version": VERSION, "shape": asdict(shape), **(facts or {})})


def load_baseline(path: str | Path, *, device: str = "cpu") -> Baseline:
    """Open a network for drawing: eval mode, frozen, float32.

    Parameters
    ----------
    path : path
        The file, or the folder of the run that wrote it.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    UserError
        If the file is missing, partial or holds something else.
    """
    path, remedy = in_run(path, FILE), "name a run of `sketchprep train baseline`, or its model file"
    with opened(path, NETWORK, "shape", Shape, kind="baseline", remedy=remedy) as (file, facts, shape):
        with torch.device("meta"):
            network = shape.build()
        check_shapes(network, file, path)
        tensors = {name: as_float32(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    load_frozen(network, tensors, device)
    return Baseline(shape, network, facts)
