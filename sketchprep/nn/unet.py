"""pix2pix's generator (Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017).

The layers are the paper's U-Net: halvings down to one pixel, doublings back, and beside them what each size looked like
on the way down.  Normalisation is InstanceNorm, which is what the paper's BatchNorm comes to at its batch of one, so
that a picture's result does not depend on its batch.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sketchprep.nn.blocks import init_weights
from sketchprep.nn.blocks import upsample as _double

__all__ = ["UNet"]

MOST = 8  # times ngf: channels of the inner maps
DROPPED = 3  # inner doublings with dropout
SLOPE = 0.2


class UNet(nn.Module):
    """Encoder and decoder with connections between maps of one size.

    Parameters
    ----------
    in_channels, out_channels : int
    size : int
        Height and width of the pictures, a power of 2 from 16 up: there are as many halvings as lead to one pixel.
    ngf : int
        Channels after the first halving, 64 in the paper; doubled with each of the next three.
    dropout : float
        Share of the three inner decoder maps that is dropped in training.  Unlike the paper, nothing is dropped in eval
        mode: the same sketch gives the same picture.
    upsample : {"transpose", "resize"}
        See `sketchprep.nn.blocks.upsample`.

    Raises
    ------
    ValueError
        For another size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 3,
        *,
        size: int = 256,
        ngf: int = 64,
        dropout: float = 0.5,
        upsample: str = "transpose",
    ) -> None:
        super().__init__()
        if size < 16 or size & (size - 1):
            raise ValueError(f"size must be a power of 2 from 16 up, not {size}")
        self.size = size
        levels = size.bit_length() - 1
        widths = [ngf * min(2**level, MOST) for level in range(levels)]
        self.down = nn.ModuleList([nn.Conv2d(in_channels, widths[0], 4, 2, 1)])
        for inputs, outputs in pairwise(widths[:-1]):
            self.down.append(nn.Sequential(nn.LeakyReLU(SLOPE), _halve(inputs, outputs), nn.InstanceNorm2d(outputs)))
        # The last map is one pixel, of which a normalisation would leave nothing.
        self.down.append(nn.Sequential(nn.LeakyReLU(SLOPE), _halve(*widths[-2:], bias=True)))
        self.up = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(pairwise(reversed(widths))):
            layers = [nn.ReLU(), _double(inputs * (2 if number else 1), outputs, mode=upsample)]
            layers += [nn.InstanceNorm2d(outputs), *([nn.Dropout(dropout)] if number < DROPPED else [])]
            self.up.append(nn.Sequential(*layers))
        self.head = nn.Sequential(nn.ReLU(), _double(2 * widths[0], out_channels, mode=upsample, bias=True))
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Draw.

        Parameters
        ----------
        x : Tensor of float, shape (B, in_channels, size, size)

        Returns
        -------
        Tensor of float, shape (B, out_channels, size, size)
            -1..1.

        Raises
        ------
        ValueError
            For another height or width.
        """
        if x.shape[-2:] != (self.size, self.size):
            raise ValueError(f"height and width must be {self.size}, not {x.shape[-2]}×{x.shape[-1]}")
        seen = []
        for layer in self.down:
            x = layer(x)
            seen.append(x)
        seen.pop()
        for layer in self.up:
            x = torch.cat([layer(x), seen.pop()], dim=1)
        return self.head(x).tanh()


def _halve(inputs: int, outputs: int, *, bias: bool = False) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 4, 2, 1, bias=bias)
