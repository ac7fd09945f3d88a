"""Perceptual distance between pictures: differences of the activations of a VGG network (Johnson et al., ECCV 2016).

Weights of the layers and the form of the loss are pix2pixHD's (Wang et al., CVPR 2018): mean absolute differences,
1/32, 1/16, 1/8, 1/4 and 1 from the finest stage to the coarsest.  The trunk is HED's, which is VGG16 fine-tuned to
find edges, or a VGG16 or VGG19 whose weights the user names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.errors import UserError
from sketchprep.nn.hed import load_hed

__all__ = ["LAYERS", "LAYER_WEIGHTS", "VGG", "Perceptual", "cut", "load_perceptual", "load_vgg", "weights_sum"]

LAYERS = (1, 2, 3, 4, 5)
LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
# HED takes colours of 0..255, and so its activations are large.  Their means over the bundled portraits, by which they
# are divided: the distance then has the size that it has with the trunk that pix2pixHD's weights were chosen for.
HED_SCALES = (19.0, 4.6, 3.0, 1.2, 2.2)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STAGES = {13: (2, 2, 3, 3, 3), 16: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """The convolutions of VGG16 or VGG19 (Simonyan & Zisserman, 2015), for ImageNet's normalisation.

    Parameters
    ----------
    convolutions : {13, 16}
        Of all five stages.
    """

    def __init__(self, convolutions: int = 16) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        channels = 3
        for width, count in zip(_WIDTHS, _STAGES[convolutions], strict=True):
            inputs = (channels, *[width] * (count - 1))
            self.stages.append(nn.ModuleList(nn.Conv2d(n, width, 3, padding=1) for n in inputs))
            channels = width
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1) * 255, persistent=False)
        self.mean: Tensor
        self.deviation: Tensor

    def features(self, x: Tensor) -> list[Tensor]:
        """Activations after the first convolution of each stage (relu1_1, relu2_1, relu3_1, relu4_1, relu5_1).

        Parameters
        ----------
        x : Tensor of float, shape (B, 3, H, W)
            RGB, 0..255; differentiable.
        """
        x = ((x - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        outputs: list[Tensor] = []
        for stage, convolutions in enumerate(self.stages):
            if stage:
                x = F.max_pool2d(x, 2)
            for number, convolution in enumerate(convolutions):  # type: ignore[arg-type, var-annotated]
                if number and stage == len(self.stages) - 1:
                    break  # nothing beyond the last tap is looked at
                x = F.relu(convolution(x))
                if number == 0:
                    outputs.append(x)
        return outputs


class Perceptual(nn.Module):
    """Distance of pictures as a frozen trunk sees them.

    Parameters
    ----------
    trunk : nn.Module
        With `stages` and ``features(x)`` for RGB of 0..255: `VGG` or `sketchprep.nn.hed.HED`.
    layers : sequence of int
        Stages that are compared, 1 (fine) to 5 (coarse); what lies beyond the coarsest of them is not computed.
    size : int, optional
        Side in pixels of the part of each picture that is compared when `forward` is given corners.
    scales : sequence of float
        Divisors of the stages' differences.
    """

    def __init__(
        self,
        trunk: nn.Module,
        *,
        layers: Sequence[int] = LAYERS,
        size: int | None = None,
        scales: Sequence[float] = (1.0,) * 5,
    ) -> None:
        super().__init__()
        trunk.stages = trunk.stages[: max(layers)]  # type: ignore[index]
        self.trunk = trunk.requires_grad_(False).eval()
        self.size = size
        self.weights = {layer - 1: LAYER_WEIGHTS[layer - 1] / scales[layer - 1] for layer in sorted(set(layers))}

    def forward(self, output: Tensor, target: Tensor, corners: Tensor | None = None) -> Tensor:
        """Compare pictures.

        Parameters
        ----------
        output, target : Tensor of float, shape (B, 3, H, W)
            RGB in [-1, 1]; gradients reach `output` only.
        corners : Tensor of int, shape (B, 2), optional
            Row and column of the upper left corner of each picture's part of `size` × `size` pixels, the same in both;
            None compares all of it.

        Returns
        -------
        Tensor
            Scalar: Σ over stages of weight · mean absolute difference.
        """
        if corners is not None and self.size is not None:
            output, target = cut(output, corners, self.size), cut(target, corners, self.size)
        with torch.no_grad():
            theirs = self.trunk.features(127.5 * (target.detach().float() + 1))  # type: ignore[operator]
        ours = self.trunk.features(127.5 * (output.float() + 1))  # type: ignore[operator]
        terms = [w * (ours[at].float() - theirs[at].float()).abs().mean() for at, w in self.weights.items()]
        return torch.stack(terms).sum()


def cut(pictures: Tensor, corners: Tensor, size: int) -> Tensor:
    """Cut a square out of each picture, each at a place of its own.

    Parameters
    ----------
    pictures : Tensor, shape (B, C, H, W)
        Differentiable.
    corners : Tensor of int, shape (B, 2)
        Row and column; the squares must lie inside.
    size : int

    Returns
    -------
    Tensor, shape (B, C, size, size)
        Channels-last.
    """
    # Indexed on the device: a slice would wait for the corners to reach Python.
    along = torch.arange(size, device=pictures.device)
    picture = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    rows, columns = (corners[:, axis, None].long() + along for axis in (0, 1))
    return pictures.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def load_perceptual(
    weights: str | Path | None = None, *, layers: Sequence[int] = LAYERS, size: int | None = None
) -> Perceptual:
    """Perceptual distance with a trunk that has been trained.

    Parameters
    ----------
    weights : path, optional
        VGG16 or VGG19 as torchvision names its tensors, see `load_vgg`; default HED's trunk, fetched on first use.
    layers, size
        See `Perceptual`.

    Raises
    ------
    UserError
        If the weights cannot be had or are something else.
    """
    if weights is not None:
        return Perceptual(load_vgg(weights), layers=layers, size=size)
    from sketchprep.core import weights as assets

    return Perceptual(load_hed(assets.path("hed")), layers=layers, size=size, scales=HED_SCALES)


def load_vgg(path: str | Path) -> VGG:
    """VGG16 or VGG19 from a file that the user names.

    Parameters
    ----------
    path : path
        ``.safetensors``, or a state dict saved by torch, read without unpickling code.  Tensors of the convolutions
        are called ``features.N.weight`` and ``features.N.bias``; what follows them is ignored.

    Raises
    ------
    UserError
        If the file cannot be read or holds another network.
    """
    tensors = {key: value for key, value in _read(Path(path)).items() if re.fullmatch(r"features\.\d+\.\w+", str(key))}
    numbers = sorted({int(key.split(".")[1]) for key in tensors})
    if len(numbers) not in _STAGES:
        raise UserError(
            f"perceptual_weights={path}: holds {len(numbers)} convolutions named features.N, expected 13 (VGG16) or "
            "16 (VGG19) without batch normalisation; name such a file, or none for HED's trunk"
        )
    net = VGG(len(numbers))
    convolutions = [convolution for stage in net.stages for convolution in stage]  # type: ignore[attr-defined]
    for number, convolution in zip(numbers, convolutions, strict=True):
        for kind, value in convolution.named_parameters():
            stored = tensors.get(f"features.{number}.{kind}")
            shape = tuple(stored.shape) if isinstance(stored, Tensor) else "missing"
            if shape != tuple(value.shape):
                raise UserError(
                    f"perceptual_weights={path}: features.{number}.{kind} has shape {shape}, expected "
                    f"{tuple(value.shape)}; name the weights of a VGG16 or VGG19"
                )
            value.data.copy_(stored)
    return net.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _read(path: Path) -> Mapping[str, Any]:
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        values = torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"perceptual_weights={path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # neither reader has one error of its own for what it cannot read
        raise UserError(f"perceptual_weights={path}: is no file of weights ({type(error).__name__})") from None
    if not isinstance(values, Mapping):
        raise UserError(f"perceptual_weights={path}: holds a {type(values).__name__}, expected a state dict")
    return values


def weights_sum(weights: str | Path | None) -> str:
    """What names the trunk in the records of a run: ``"hed"``, or the sha256 of the user's file."""
    if weights is None:
        return "hed"
    try:
        return hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"perceptual_weights={weights}: cannot be read ({error.strerror or error})") from None
