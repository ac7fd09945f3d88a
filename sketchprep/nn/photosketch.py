"""PhotoSketch's generator: photos to contour drawings (Li, Lin, Měch, Yumer, Ramanan, WACV 2019).

pix2pix's residual generator with nine blocks.  Its authors never put it into evaluation mode, so its BatchNorm
normalises with the statistics of the pictures it is given; those that training stored draw otherwise.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.nn.checkpoint_file import check_shapes

__all__ = ["PhotoSketch", "load_photosketch", "width_of"]

BLOCKS = 9
MULTIPLE = 4
"""Sides must be multiples of this."""


class PhotoSketch(nn.Module):
    """Pictures (B, 3, H, W) to drawings (B, 1, H, W), black on white, both -1 to 1; H and W are multiples of 4.

    Parameters
    ----------
    width : int
        Channels of the first layer; 64 in the authors' weights.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        halved = [layer for at in (1, 2) for layer in _halve(width * at, width * 2 * at)]
        doubled = [layer for at in (2, 1) for layer in _double(width * 2 * at, width * at)]
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, width, 7, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *halved,
            *(_Block(4 * width) for _ in range(BLOCKS)),
            *doubled,
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 1, 7),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)

    def normalise_by_batch(self) -> PhotoSketch:
        """Freeze it, and normalise by each batch's statistics as the authors do; the stored ones are dropped."""
        self.eval().requires_grad_(False)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.track_running_stats = False
                layer.running_mean = layer.running_var = None
        return self


def _halve(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _double(before: int, after: int) -> list[nn.Module]:
    widen = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=False)
    return [widen, nn.BatchNorm2d(after), nn.ReLU()]


class _Block(nn.Module):
    """Two 3×3 convolutions, added to their input without an activation after."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Dropout(0.0),  # holds its place in the names of the weights
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


def width_of(tensors: dict[str, Tensor]) -> int | None:
    """Channels of the first layer of such weights, None if they are of another network."""
    first = tensors.get("model.1.weight")
    return int(first.shape[0]) if first is not None and first.ndim == 4 and first.shape[1:] == (3, 7, 7) else None


def load_photosketch(path: str | Path, *, device: str = "cpu") -> PhotoSketch:
    """Open weights written by `sketchprep import-weights photosketch`, normalising by batch as the authors do.

    Raises
    ------
    UserError
        If the file is missing, damaged or of another network.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    remedy = "make it with `sketchprep import-weights photosketch FILE`"
    try:
        with safe_open(path, "pt") as file:
            first = file.get_slice("model.1.weight").get_shape()
            with torch.device("meta"):
                net = PhotoSketch(min(int(first[0]), 1024))
            check_shapes(net, file, path)
            net.load_state_dict({name: file.get_tensor(name) for name in file.keys()}, assign=True)  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as PhotoSketch ({error}); {remedy}") from None
    return net.normalise_by_batch().to(device)
