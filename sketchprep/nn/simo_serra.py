"""The sketch simplification network of Simo-Serra et al., for weights that the user supplies.

Three down-samplings, three up-samplings, 23 layers, all followed by ReLU but the last, by a sigmoid.  Their weights
are for non-commercial use and are not part of this package.  They were published for Torch 7 (Lua); conversions to
PyTorch are in circulation under several naming schemes, which `load_simo_serra` reads by order and shape.

References
----------
E. Simo-Serra, S. Iizuka, K. Sasaki, H. Ishikawa, "Learning to simplify: fully convolutional networks for rough sketch
cleanup", SIGGRAPH 2016.  E. Simo-Serra, S. Iizuka, H. Ishikawa, "Mastering sketching: adversarial augmentation for
structured prediction", ACM TOG 2018.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.errors import UserError
from sketchprep.nn.simplifier import NAME, STRIDE, Simplifier, load_simplifier
from sketchprep.nn.simplifier import sketch as simplifier_sketch
from sketchprep.nn.tiling import as_grey, run_batch

__all__ = ["SimoSerra", "load_any", "load_simo_serra", "sketch", "sketch_any"]

MEAN, STD = 0.9664114577640158, 0.0858381272736797
REACH = 128
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_BATCH_NORM_EPSILON = 1e-5
# Output channels, kernel and stride; a stride of -2 is a transposed convolution.  The fourth layer has 128 channels in
# the models that the authors released and 256 in the paper's table.
_Layer = tuple[int, int, int]
_HEAD: tuple[_Layer, ...] = ((48, 5, 2), (128, 3, 1), (128, 3, 1))
_TAIL: tuple[_Layer, ...] = (
    (256, 3, 1), (256, 3, 1), (256, 3, 2),
    (512, 3, 1), (1024, 3, 1), (1024, 3, 1), (1024, 3, 1), (1024, 3, 1), (512, 3, 1), (256, 3, 1),
    (256, 4, -2), (256, 3, 1), (128, 3, 1),
    (128, 4, -2), (128, 3, 1), (48, 3, 1),
    (48, 4, -2), (24, 3, 1), (1, 3, 1),
)  # fmt: skip


class SimoSerra(nn.Module):
    """The network with batch normalisation folded into the convolutions; weights are random until loaded.

    Parameters
    ----------
    fourth : int
        Channels of the fourth layer: 128 as released, 256 as in the paper.
    mean, std : float
        Of the training data, in 0..1; an input is normalised by them.
    """

    def __init__(self, *, fourth: int = 128, mean: float = MEAN, std: float = STD) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.layers = nn.ModuleList()
        channels = 1
        for outputs, kernel, stride in (*_HEAD, (fourth, 3, 2), *_TAIL):
            if stride < 0:
                self.layers.append(nn.ConvTranspose2d(channels, outputs, kernel, -stride, padding=1))
            else:
                self.layers.append(nn.Conv2d(channels, outputs, kernel, stride, padding=kernel // 2))
            channels = outputs

    def forward(self, x: Tensor) -> Tensor:
        """Share of white paper, (B, 1, H, W) float32 in 0..1.

        Parameters
        ----------
        x : Tensor of float, shape (B, 1, H, W)
            Grey, 0 (black) to 1 (white).  Continued to the right and below up to multiples of 8 by repeating the last
            column and row; the result is cropped back.
        """
        height, width = x.shape[-2:]
        if height % STRIDE or width % STRIDE:
            x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        x = ((x - self.mean) / self.std).to(next(self.parameters()).dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x), inplace=True)
        return torch.sigmoid(self.layers[-1](x)[..., :height, :width].float())


def load_simo_serra(
    path: str | Path,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    mean: float | None = None,
    std: float | None = None,
) -> SimoSerra:
    """The network with a user's converted weights, in eval mode, frozen, channels-last.

    Parameters
    ----------
    path : str or Path
        A state dict in a ``.pth`` or ``.pt`` file, bare or under ``model`` or ``state_dict``, read without unpickling
        any code; or safetensors.  Names do not matter: ``0.weight, 2.weight …``, ``layer1.0.weight …`` and
        ``layers.0.weight …`` are all found by order and shape.  Batch normalisation is folded.
    device, dtype
        As for `load_simplifier`.
    mean, std : float, optional
        Default: the numbers under ``mean`` and ``std`` in the file, else those of the authors' GAN model.

    Raises
    ------
    UserError
        If the file cannot be read or a tensor does not fit; the first one is named with both shapes.
    """
    if dtype not in _DTYPES:
        raise UserError(f"dtype {dtype!r} is unknown to this network; use one of {', '.join(_DTYPES)}")
    content = _read(Path(path))
    tensors = _tensors(content)
    convolutions = _arrange(tensors, path)
    net = SimoSerra(
        fourth=convolutions[3][0].shape[0],
        mean=_number(content, "mean", MEAN) if mean is None else mean,
        std=_number(content, "std", STD) if std is None else std,
    )
    for layer, (weight, bias) in zip(net.layers, convolutions, strict=True):
        layer.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    net = net.eval().requires_grad_(False)
    return net.to(device, _DTYPES[dtype]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def load_any(path: str | Path, *, device: str = "cpu", dtype: str = "float32") -> Simplifier | SimoSerra:
    """The network that a weight file is for: the project's own simplifier, or Simo-Serra's.

    Parameters
    ----------
    path, device, dtype
        As for `load_simplifier`.

    Raises
    ------
    UserError
        If the file fits neither.
    """
    if _is_own(Path(path)):
        return load_simplifier(path, device=device, dtype=dtype)
    return load_simo_serra(path, device=device, dtype=dtype)


def sketch(net: SimoSerra, photos: np.ndarray) -> np.ndarray:
    """Simplified drawings; parameters, result and errors as for `sketchprep.nn.simplifier.sketch`."""
    return run_batch(net, as_grey(photos), next(net.parameters()).device, reach=REACH)


def sketch_any(net: Simplifier | SimoSerra, photos: np.ndarray) -> np.ndarray:
    """`sketch` of whichever network `load_any` returned."""
    return sketch(net, photos) if isinstance(net, SimoSerra) else simplifier_sketch(net, photos)


def _read(path: Path) -> Mapping[str, Any]:
    import pickle

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, ValueError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        # Of a KeyError there is the bare key; of an UnpicklingError, torch's advice to those who trust the file.
        words = "" if isinstance(error, KeyError | pickle.UnpicklingError) else " ".join(str(error).split())
        reason = words[:160] or "it is none of torch's files or holds more than tensors"
        raise UserError(
            f"{path} cannot be read as weights ({reason}); name a .safetensors file, or a .pth that holds a plain "
            "state dict"
        ) from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not a state dict; save net.state_dict() instead")
    return content


def _is_own(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return "stem.conv.weight" in file.keys() or NAME in (file.metadata() or {}).get("sketchprep", "")  # noqa: SIM118
    except (OSError, SafetensorError, ValueError):
        return path.suffix == ".safetensors"


def _tensors(content: Mapping[str, Any]) -> dict[str, Tensor]:
    for key in ("model", "state_dict", "params"):
        inner = content.get(key)
        if isinstance(inner, Mapping):
            content = inner
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor) and v.ndim and str(k) not in ("mean", "std")}


def _number(content: Mapping[str, Any], key: str, default: float) -> float:
    value = content.get(key)
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    return float(value) if isinstance(value, int | float) else default


_Convolution = tuple[str, Tensor, Tensor | None]


def _fold_norms(tensors: Mapping[str, Tensor]) -> list[_Convolution]:
    """(name, weight, bias) of each convolution in file order, the n-th normalisation folded into the n-th of them."""
    convolutions = [
        (name.removesuffix("weight"), tensor, tensors.get(f"{name.removesuffix('weight')}bias"))
        for name, tensor in tensors.items()
        if name.endswith("weight") and tensor.ndim == 4
    ]
    norms = [name.removesuffix("running_mean") for name in tensors if name.endswith("running_mean")]
    if not norms:
        return convolutions
    folded = [_fold(layer, norm, tensors) for layer, norm in zip(convolutions, norms, strict=False)]
    return folded + convolutions[len(norms) :]


def _fold(layer: _Convolution, norm: str, tensors: Mapping[str, Tensor]) -> _Convolution:
    name, weight, bias = layer
    mean, variance, gain, offset = (
        tensors.get(norm + key) for key in ("running_mean", "running_var", "weight", "bias")
    )
    axis = 1 if weight.shape[2] == 4 else 0
    known = [part for part in (mean, variance, gain, offset) if part is not None]
    if mean is None or variance is None or any(part.shape != (weight.shape[axis],) for part in known):
        return f"{norm}running_mean does not fit {name}", weight, None
    scale = (variance.double() + _BATCH_NORM_EPSILON).rsqrt() * (1.0 if gain is None else gain.double())
    shift = (0.0 if bias is None else bias.double()) - mean.double()
    folded = shift * scale + (0.0 if offset is None else offset.double())
    shape = [1, -1, 1, 1] if axis else [-1, 1, 1, 1]
    return name, (weight.double() * scale.view(shape)).float(), folded.float()


def _arrange(tensors: Mapping[str, Tensor], path: str | Path) -> list[tuple[Tensor, Tensor]]:
    """The 23 layers in their order, or the complaint about the first tensor that does not fit."""
    complaints: list[tuple[int, str]] = []
    # A .pth keeps the order of the layers; safetensors keeps none, so that numbers in the names have to tell.
    for names in (list(tensors), sorted(tensors, key=_natural)):
        convolutions = _fold_norms({name: tensors[name] for name in names})
        for fourth in (128, 256):
            fitting, complaint = _match(convolutions, fourth)
            if complaint is None:
                return [(weight, bias) for _, weight, bias in convolutions if bias is not None]
            complaints.append((fitting, complaint))
    _, complaint = max(complaints, key=lambda item: item[0])
    raise UserError(
        f"{path} does not hold the weights of Simo-Serra's network: {complaint}; name another file, or leave weights "
        "out for the bundled simplifier"
    )


def _match(convolutions: list[_Convolution], fourth: int) -> tuple[int, str | None]:
    """How many layers fit, and what is wrong with the next one."""
    with torch.device("meta"):
        expected = [tuple(p.shape) for p in SimoSerra(fourth=fourth).parameters() if p.ndim == 4]
    for number, shape in enumerate(expected):
        if number == len(convolutions):
            return number, f"it has {number} convolutions of {len(expected)}"
        name, weight, bias = convolutions[number]
        outputs = shape[1] if shape[2] == 4 else shape[0]
        if tuple(weight.shape) != shape:
            return number, f"{name}weight has shape {tuple(weight.shape)}, expected {shape} for layer {number + 1}"
        if bias is None or tuple(bias.shape) != (outputs,):
            problem = "is missing" if bias is None else f"has shape {tuple(bias.shape)}"
            return number, f"{name}bias {problem}, expected ({outputs},) for layer {number + 1}"
        if not (weight.isfinite().all() and bias.isfinite().all()):
            return number, f"{name}weight or {name}bias has values that are not finite"
    extra = len(convolutions) - len(expected)
    return len(expected), f"it has {extra} convolutions too many" if extra else None


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
