"""Networks described for export to ONNX: what goes in and out, and real inputs to check them on; HED and simplifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.core import weights
from sketchprep.core.resources import resource
from sketchprep.io import images
from sketchprep.nn.hed import SMALLEST_SIDE, load_hed
from sketchprep.nn.simplifier import STRIDE, load_simplifier
from sketchprep.ops.photocopy import photocopy
from sketchprep.ops.resize import resize

__all__ = ["Network", "Port", "hed_network", "photocopies", "simplifier_network"]

PORTRAITS = ("male-07", "female-13", "male-00", "female-10")


@dataclass(frozen=True)
class Port:
    """Input or output of a network.

    Attributes
    ----------
    name : str
    dtype : str
    shape : tuple of str or int
        A word for an axis of any length.
    about : str
        Range and meaning.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    about: str

    def text(self) -> str:
        """One line for the reader."""
        return f"{self.name}: {self.dtype} ({', '.join(map(str, self.shape))}), {self.about}"


@dataclass(frozen=True)
class Network:
    """A network ready to be exported.

    Attributes
    ----------
    name : str
    title : str
    net : Module
        One tensor in, one out; eval mode, frozen, on the CPU, float32.
    source, target : Port
        Input and output.
    samples : list of Tensor
        Real inputs of several batches and sizes; the first is what the network is traced with, so that no two of its
        free axes are of one length, and none is 1.
    architecture : dict
        JSON values that fix the shape of every weight.
    licence : str
    facts : dict
        Further JSON values: what the weights' own file says.
    """

    name: str
    title: str
    net: nn.Module
    source: Port
    target: Port
    samples: list[Tensor]
    architecture: dict[str, Any]
    licence: str
    facts: dict[str, Any] = field(default_factory=dict)


def hed_network(*, offline: bool = False) -> Network:
    """HED for RGB photos of any size; raises `UserError` if its weights are missing."""
    net = load_hed(weights.path("hed", offline=offline))
    shape = ("batch", "height", "width")
    return Network(
        name="hed",
        title="edges of a photo by holistically-nested edge detection",
        net=_ChannelsLast(net),
        source=Port("photo", "uint8", (*shape, 3), f"RGB, 0 to 255; sides from {SMALLEST_SIDE} up, any parity"),
        target=Port("edges", "float32", shape, "probability of an edge, 0 to 1"),
        samples=[torch.from_numpy(np.stack(_photos(*size)[:n])) for n, size in ((2, (153, 202)), (1, (97, 80)))],
        architecture={"network": "hed", "margin": net.margin},
        licence=_licence("hed"),
    )


def simplifier_network() -> Network:
    """The bundled simplifier for drawings of any size."""
    net = load_simplifier(weights.path("simplifier"))
    shape = ("batch", 1, "height", "width")
    return Network(
        name="simplifier",
        title="clean lines from a rough drawing or a photocopy",
        net=_Padded(net),
        source=Port("drawing", "float32", shape, "0 ink to 1 paper; sides from 16 up, any parity"),
        target=Port("clean", "float32", shape, "0 ink to 1 paper, soft where unsure"),
        samples=[photocopies(2, 155, 204), photocopies(1, 96, 80), photocopies(3, 65, 121)],
        architecture={"network": "simplifier", "width": net.width},
        licence=_licence("simplifier"),
    )


def photocopies(count: int, height: int, width: int) -> Tensor:
    """Photocopies of bundled portraits, at most four, float32 (count, 1, height, width) in 0..1."""
    grey = np.stack([photocopy(photo) for photo in _photos(height, width)[:count]])
    return torch.from_numpy(grey)[:, None].float() / 255


class _ChannelsLast(nn.Module):
    """A network of NCHW floats that takes NHWC bytes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, photo: Tensor) -> Tensor:
        return self.net(photo.permute(0, 3, 1, 2).float())


class _Padded(nn.Module):
    """The simplifier with its padding written without a branch, which a trace would follow one way only."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, drawing: Tensor) -> Tensor:
        height, width = drawing.shape[-2:]
        padded = F.pad(drawing, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        return torch.sigmoid(-self.net(padded))[..., :height, :width]


def _licence(weight: str) -> str:
    state = weights.state(weight)
    return f"{state.licence}. {state.restriction}".rstrip(". ") + "."


@lru_cache(maxsize=4)
def _photos(height: int, width: int) -> list[np.ndarray]:
    folder = resource("data/portraits")
    photos = [images.decode((folder / f"{name}.jpg").read_bytes()) for name in PORTRAITS]
    return [resize(photo, (width, height)) for photo in photos]
