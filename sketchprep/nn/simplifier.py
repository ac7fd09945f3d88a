"""The project's own sketch simplifier: a small U-Net from rough drawings and photocopies to clean lines.

Widths 16, 32, 64, 128; three convolutions of stride 2, a bottleneck of dilated convolutions (1, 2, 4, 1), then residual
ones (4, 8, 16, …) that see a whole face and so can tell a chin from a fold; three 1x1 convolutions with pixel shuffle
on the way up, skips concatenated.  Nothing in it looks at the whole picture, so a pixel's result depends on what lies
within `Simplifier.reach` pixels and on nothing else.  Inside, paper is 0 and ink is 1: the
zeros that convolutions see beyond the border are blank paper.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.errors import UserError
from sketchprep.io.files import atomic
from sketchprep.nn.tiling import as_grey, run_batch

__all__ = ["Simplifier", "fold", "load_simplifier", "save_simplifier", "simplify", "sketch"]

STRIDE = 8
_REACH = 96  # without context
NAME = "sketchprep-simplifier"
_DILATIONS = (1, 2, 4, 1)
_CONTEXT = (4, 8, 16)
_MOST_CONTEXT = 24
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class _Block(nn.Module):
    """Convolution, batch normalisation unless `norm` is false, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1, norm: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=dilation * (kernel // 2), dilation=dilation, bias=not norm
        )
        self.norm = nn.BatchNorm2d(outputs) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.kernel_size == (1, 1):
            # A tenth of the whole network's float32 time: torch has no fast 1x1 convolution for a small batch.
            x = F.linear(x.movedim(1, -1), self.conv.weight.flatten(1), self.conv.bias).movedim(-1, 1)
        else:
            x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu(x, inplace=True)


class _Context(nn.Module):
    """Dilated convolution whose result is added; it begins as nothing, so that trained weights can be given more."""

    def __init__(self, channels: int, *, dilation: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=not norm)
        self.norm = nn.BatchNorm2d(channels) if norm else None
        if self.norm is not None:
            nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        more = self.conv(x)
        return F.relu(x + (more if self.norm is None else self.norm(more)))


class _Up(nn.Module):
    """Double the size by pixel shuffle, join the skip, convolve."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.spread = _Block(inputs, 4 * outputs, kernel=1, norm=norm)
        self.merge = _Block(2 * outputs, outputs, norm=norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.spread(x), 2)
        conv = self.merge.conv
        if self.merge.norm is None and x.dtype == torch.float32 and x.device.type == "cpu":
            # Joining costs as much as convolving here, in float32; by halves it is not needed.
            first, second = conv.weight.split(x.shape[1], dim=1)
            x = F.conv2d(x, first, conv.bias, padding=1).add_(F.conv2d(skip, second, padding=1))
            return F.relu(x, inplace=True)
        return self.merge(torch.cat([x, skip], dim=1))


class Simplifier(nn.Module):
    """The network; weights are random until loaded or trained.

    Parameters
    ----------
    width : int
        Channels at full resolution; the three levels below have 2, 4 and 8 times as many.
    context : int
        Residual convolutions in the bottleneck, of dilation 4, 8, 16, 4, ….
    norm : bool
        Batch normalisation after every convolution but the last, as for training.  `fold` removes it.

    Attributes
    ----------
    reach : int
        Pixels beyond which nothing influences a pixel's result; a multiple of 8.
    """

    def __init__(self, width: int = 16, context: int = 0, *, norm: bool = True) -> None:
        super().__init__()
        a, b, c, d = width, 2 * width, 4 * width, 8 * width
        dilations = [_CONTEXT[i % len(_CONTEXT)] for i in range(context)]
        self.width, self.reach = width, _REACH + STRIDE * sum(dilations)
        self.stem = _Block(1, a, norm=norm)
        self.down1 = nn.Sequential(_Block(a, b, stride=2, norm=norm), _Block(b, b, norm=norm))
        self.down2 = nn.Sequential(_Block(b, c, stride=2, norm=norm), _Block(c, c, norm=norm))
        self.down3 = _Block(c, d, stride=2, norm=norm)
        self.middle = nn.Sequential(*(_Block(d, d, dilation=dilation, norm=norm) for dilation in _DILATIONS))
        self.context = nn.Sequential(*(_Context(d, dilation=dilation, norm=norm) for dilation in dilations))
        self.up3 = _Up(d, c, norm=norm)
        self.up2 = _Up(c, b, norm=norm)
        self.up1 = _Up(b, a, norm=norm)
        self.head = nn.Conv2d(a, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of ink.

        Parameters
        ----------
        x : Tensor of float, shape (B, 1, H, W)
            Grey, 0 (black) to 1 (white paper); any H and W from 1 up, 16 and more to be of use.

        Returns
        -------
        Tensor of float32, shape (B, 1, H, W)
            Positive where ink is more likely than paper.

        Notes
        -----
        The picture is continued to the right and below up to multiples of 8 by repeating its last column and row; the
        result is cropped back.
        """
        height, width = x.shape[-2:]
        if height % STRIDE or width % STRIDE:
            x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        x = (1 - x).to(self.head.weight.dtype).contiguous(memory_format=torch.channels_last)
        full = self.stem(x)
        half = self.down1(full)
        quarter = self.down2(half)
        deep = self.context(self.middle(self.down3(quarter)))
        logits = self.head(self.up1(self.up2(self.up3(deep, quarter), half), full))
        return logits[..., :height, :width].float()


def fold(net: Simplifier) -> Simplifier:
    """The same network in eval mode with each batch normalisation folded into its convolution; a copy, float32.

    Parameters
    ----------
    net : Simplifier
        With or without normalisation; left as it is.
    """
    tensors = {name: tensor.detach().float().cpu() for name, tensor in net.state_dict().items()}
    folded = Simplifier(net.width, len(net.context), norm=False)
    epsilon = next((m.eps for m in net.modules() if isinstance(m, nn.BatchNorm2d)), 0.0)
    folded.load_state_dict(_fold_tensors(tensors, epsilon))
    return folded.eval()


def _fold_tensors(tensors: Mapping[str, Tensor], epsilon: float) -> dict[str, Tensor]:
    folded = {name: tensor for name, tensor in tensors.items() if ".norm." not in name}
    for name in [name for name in tensors if name.endswith(".norm.running_var")]:
        block = name.removesuffix(".norm.running_var")
        scale = tensors[f"{block}.norm.weight"].double() / (tensors[name].double() + epsilon).sqrt()
        shift = tensors[f"{block}.norm.bias"].double() - tensors[f"{block}.norm.running_mean"].double() * scale
        folded[f"{block}.conv.weight"] = (tensors[f"{block}.conv.weight"].double() * scale.view(-1, 1, 1, 1)).float()
        folded[f"{block}.conv.bias"] = shift.float()
    return folded


def save_simplifier(net: Simplifier, path: str | Path, *, notes: Mapping[str, Any] | None = None) -> None:
    """Write the folded network as float16 safetensors: 1.75 MB for width 16, 3.2 MB with five context convolutions.

    Parameters
    ----------
    net : Simplifier
        With or without normalisation.
    path : str or Path
        File to create or overwrite.
    notes : mapping, optional
        What JSON can hold, for instance data, licence, seed; kept in the file's header.

    Raises
    ------
    ValueError
        If a weight is not finite in float16.
    """
    from safetensors.torch import save_file

    tensors = {name: tensor.half().contiguous() for name, tensor in fold(net).state_dict().items()}
    bad = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if bad:
        raise ValueError(f"the weights {bad} are not finite in float16 and were not saved to {path}")
    header = json.dumps({"network": NAME, "version": 1, **(notes or {})}, sort_keys=True)
    with atomic(Path(path)) as temporary:
        save_file(tensors, temporary, metadata={"sketchprep": header})


def load_simplifier(path: str | Path, *, device: str = "cpu", dtype: str = "float32") -> Simplifier:
    """The simplifier with its weights, folded, in eval mode, frozen, channels-last.

    Parameters
    ----------
    path : str or Path
        Safetensors file, folded or with normalisation, float16 or float32; the bundled one is
        ``sketchprep.core.weights.path("simplifier")``.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    dtype : {"float32", "bfloat16"}
        Of weights and activations.

    Raises
    ------
    UserError
        If the file is missing, truncated, no safetensors, or holds another network; or `dtype` is unknown.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if dtype not in _DTYPES:
        raise UserError(f"dtype {dtype!r} is unknown to the simplifier; use one of {', '.join(_DTYPES)}")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as weights of the simplifier ({error}); name another file, or leave weights out "
            "for the bundled ones"
        ) from error
    net = _from_tensors(tensors, str(path)).requires_grad_(False)
    return net.to(device, _DTYPES[dtype]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _from_tensors(tensors: Mapping[str, Tensor], path: str) -> Simplifier:
    stem = tensors.get("stem.conv.weight")
    width = stem.shape[0] if stem is not None and stem.ndim == 4 and 0 < stem.shape[0] <= 256 else 16
    norm = any(".norm." in name for name in tensors)
    context = sum(f"context.{at}.conv.weight" in tensors for at in range(_MOST_CONTEXT))
    with torch.device("meta"):
        wanted = Simplifier(width, context, norm=norm).state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    stored = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    mismatch = next((name for name in [*expected, *stored] if expected.get(name) != stored.get(name)), None)
    if mismatch is not None:
        raise UserError(
            f"{path} does not hold the weights of the simplifier: {mismatch} has shape "
            f"{stored.get(mismatch, 'missing')}, expected {expected.get(mismatch, 'nothing of that name')}; name "
            "another file, or leave weights out for the bundled ones"
        )
    unsound = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if unsound is not None:
        raise UserError(f"{path} is damaged: {unsound} has values that are not finite; train or download it again")
    net = Simplifier(width, context, norm=norm)
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return fold(net)


def simplify(net: Simplifier, images: np.ndarray) -> np.ndarray:
    """Soft sketches of rough drawings or photocopies.

    Parameters
    ----------
    net : Simplifier
        See `load_simplifier`.
    images : ndarray of uint8, shape (B, H, W)
        Grey, black ink on white, each side at least 16 px.

    Returns
    -------
    ndarray of uint8, shape (B, H, W)
        255 (1 - sigmoid(logits)), rounded: black ink on white, soft where the network is unsure.

    Raises
    ------
    ValueError
        For another shape or dtype.

    Notes
    -----
    A picture's result does not depend on the others in its batch: on the CPU it is the same bit for bit, elsewhere
    beyond float rounding.  Pictures above 4 million pixels are worked on in overlapping tiles; the overlap exceeds the
    network's reach, so that the result is the same.
    """
    return run_batch(lambda x: torch.sigmoid(-net(x)), images, net.head.weight.device, reach=net.reach)


def sketch(net: Simplifier, photos: np.ndarray) -> np.ndarray:
    """`simplify` for colour too, with the calling convention of every network stage.

    Parameters
    ----------
    net : Simplifier
    photos : ndarray of uint8, shape (B, H, W, 3) or (B, H, W)
        RGB, reduced to luma (.299, .587, .114), or grey; black ink on white.

    Returns
    -------
    ndarray of uint8, shape (B, H, W)
    """
    return simplify(net, as_grey(photos))
