"""HED, holistically-nested edge detection (Xie & Tu, ICCV 2015), as a batched torch module.

Five stages of VGG16 each give one 1x1-convolved map of logits; the maps are enlarged bilinearly to the photo's size,
mixed by a 1x1 convolution and passed through a sigmoid.

Two framings of the same arithmetic are in use.  They differ only near the border and where a side is no multiple
of 16:

- ``margin=0`` (default): every convolution pads by 1, pooling rounds up, each map is resized to the photo's size with
  half-pixel centres and clamped borders.  The published weights were trained so.
- ``margin=34``: the authors' Caffe network, whose first convolution pads by 35, so that the maps reach beyond the
  photo; transposed convolutions enlarge by exactly 2, 4, 8, 16 and the result is cropped at the offsets that Caffe
  derives, 34, 35, 36, 38 and 42.  A transposed convolution with Caffe's bilinear kernel (side 2s, stride s) is
  bilinear enlargement by s with half-pixel centres, shifted by s/2; with the shift taken out, every crop starts at 34.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.errors import UserError

__all__ = ["CAFFE_MARGIN", "HED", "load_hed", "probability", "sketch"]

CAFFE_MARGIN = 34
SMALLEST_SIDE = 16
_MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class HED(nn.Module):
    """The network; weights are random until loaded.

    Parameters
    ----------
    margin : int
        Pixels of zeros (the mean colour) around the photo: 0, or `CAFFE_MARGIN` for the Caffe framing.
    """

    def __init__(self, *, margin: int = 0) -> None:
        super().__init__()
        self.margin = margin
        self.stages = nn.ModuleList()
        self.sides = nn.ModuleList()
        channels = 3
        for width, count in _STAGES:
            convolutions = nn.ModuleList()
            for _ in range(count):
                convolutions.append(nn.Conv2d(channels, width, 3, padding=1))
                channels = width
            self.stages.append(convolutions)
            self.sides.append(nn.Conv2d(width, 1, 1))
        self.fuse = nn.Conv2d(len(_STAGES), 1, 1)
        self.register_buffer("mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    def features(self, x: Tensor) -> list[Tensor]:
        """Activations at the end of VGG16's five stages (relu1_2, relu2_2, relu3_3, relu4_3, relu5_3).

        Parameters
        ----------
        x : Tensor of float, shape (B, 3, H, W)
            RGB, 0..255; differentiable.

        Returns
        -------
        list of Tensor, shapes (B, C, ceil(H / s), ceil(W / s))
            C = 64, 128, 256, 512, 512; s = 1, 2, 4, 8, 16; in the weights' dtype.  With a margin m, H + 2m and W + 2m.
        """
        x = x.flip(1) - self.mean
        if self.margin:
            x = F.pad(x, (self.margin,) * 4)
        x = x.contiguous(memory_format=torch.channels_last)
        activations = []
        for stage, convolutions in enumerate(self.stages):
            if stage:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            for convolution in convolutions:  # type: ignore[attr-defined]
                x = F.relu(convolution(x.to(convolution.weight.dtype)), inplace=True)
            activations.append(x)
        return activations

    def side_logits(self, x: Tensor) -> Tensor:
        """The five side maps before fusion and sigmoid, (B, 5, H, W) float32; `x` as for `features`."""
        height, width = x.shape[-2:]
        maps = []
        for stage, (activation, side) in enumerate(zip(self.features(x), self.sides, strict=True)):
            logit = side(activation).float()
            if self.margin:
                if stage:
                    logit = F.interpolate(logit, scale_factor=2**stage, mode="bilinear")
                logit = logit[..., self.margin : self.margin + height, self.margin : self.margin + width]
            elif stage:
                logit = F.interpolate(logit, size=(height, width), mode="bilinear")
            maps.append(logit)
        return torch.cat(maps, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Probability of an edge, (B, H, W) float32 in 0..1; `x` as for `features`."""
        return torch.sigmoid(self.fuse(self.side_logits(x)))[:, 0]


def load_hed(path: str | Path, *, device: str = "cpu", dtype: str = "float32", margin: int = 0) -> HED:
    """HED with its weights, in eval mode, frozen, channels-last.

    Parameters
    ----------
    path : str or Path
        Safetensors file, see ``sketchprep.core.weights.path("hed")``.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    dtype : {"float32", "bfloat16"}
        Of weights and activations.  The first convolution (1 % of the work) stays float32, since rounding the pixels
        themselves to 8 bits makes up three quarters of bfloat16's error; so does what follows the side maps.
    margin : int
        See `HED`.

    Raises
    ------
    UserError
        If the file is missing, truncated, no safetensors, or holds other tensors than HED's; or `dtype` is unknown.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if dtype not in _DTYPES:
        raise UserError(f"dtype {dtype!r} is unknown to HED; use one of {', '.join(_DTYPES)}")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path} cannot be read as HED weights ({error}); run `sketchprep fetch hed`") from error
    with torch.device("meta"):
        net = HED(margin=margin)
    expected = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    stored = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if stored != expected:
        wrong = sorted(name for name in expected.keys() | stored.keys() if expected.get(name) != stored.get(name))
        raise UserError(
            f"{path} does not hold the weights of HED: {wrong[0]} has shape {stored.get(wrong[0], 'missing')}, "
            f"expected {expected.get(wrong[0], 'nothing of that name')}; run `sketchprep fetch hed`"
        )
    net = HED(margin=margin)
    net.load_state_dict(tensors)
    net = net.eval().requires_grad_(False)
    net = net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.stages.to(_DTYPES[dtype])
    net.sides.to(_DTYPES[dtype])
    net.stages[0][0].float().load_state_dict(
        {"weight": tensors["stages.0.0.weight"], "bias": tensors["stages.0.0.bias"]}
    )
    return net


def probability(net: HED, photos: np.ndarray) -> np.ndarray:
    """Probability of an edge at each pixel.

    Parameters
    ----------
    net : HED
        See `load_hed`.
    photos : ndarray of uint8, shape (B, H, W, 3)
        RGB, each side at least 16 px, any parity.

    Returns
    -------
    ndarray of float32, shape (B, H, W)
        0..1.

    Raises
    ------
    ValueError
        For another shape or dtype.

    Notes
    -----
    A picture's result does not depend on the others in its batch beyond float rounding.  On CUDA float32 is true
    float32: TF32 is switched off for the call.
    """
    if photos.dtype != np.uint8 or photos.ndim != 4 or photos.shape[3] != 3 or min(photos.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"HED takes uint8 photos of shape (B, H, W, 3) with sides of at least {SMALLEST_SIDE} px, "
            f"not {photos.dtype} {photos.shape}"
        )
    if len(photos) == 0:
        return np.zeros(photos.shape[:3], np.float32)
    pixels = torch.from_numpy(np.ascontiguousarray(photos)).to(net.fuse.weight.device)
    with torch.inference_mode(), _exact_float32():
        return net(pixels.permute(0, 3, 1, 2).float()).cpu().numpy()


def sketch(net: HED, photos: np.ndarray) -> np.ndarray:
    """HED's edges as grey sketches, black ink on white: 255 (1 - p), rounded.

    Parameters
    ----------
    net, photos
        As for `probability`.

    Returns
    -------
    ndarray of uint8, shape (B, H, W)
    """
    return np.rint(255.0 * (1.0 - probability(net, photos))).astype(np.uint8)


@contextmanager
def _exact_float32() -> Iterator[None]:
    # cuDNN rounds float32 convolutions to 10 bits by default, which moves edges by more than a grey level.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
