"""pix2pixHD's global generator (Wang et al., CVPR 2018): the image synthesis of DeepFaceDrawing and others.

Convolutions that InstanceNorm follows have no bias, see `sketchprep.nn.blocks`.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from sketchprep.nn.blocks import ResnetBlock, init_weights, upsample

__all__ = ["GlobalGenerator"]


class GlobalGenerator(nn.Module):
    """Maps in, picture out: convolution, `downs` halvings, `blocks` residual blocks, `downs` doublings, convolution.

    Parameters
    ----------
    in_channels, out_channels : int
    ngf : int
        Channels at full size, doubled with each halving: 64 in pix2pixHD, 56 in DeepFaceDrawing.
    downs, blocks : int
    upsample : {"transpose", "resize"}
        See `sketchprep.nn.blocks.upsample`.

    Notes
    -----
    Normalisation is InstanceNorm without gain and bias, so a picture's result does not depend on its batch, and train
    and eval mode are the same.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 3,
        *,
        ngf: int = 64,
        downs: int = 4,
        blocks: int = 9,
        upsample: str = "transpose",
    ) -> None:
        super().__init__()
        self.stride = 2**downs
        self.stem = _normed(nn.Conv2d(in_channels, ngf, 7, padding=3, padding_mode="reflect", bias=False), ngf)
        widths = [ngf * 2**level for level in range(downs + 1)]
        self.down = nn.Sequential(*(_normed(nn.Conv2d(a, b, 3, 2, 1, bias=False), b) for a, b in pairwise(widths)))
        self.blocks = nn.Sequential(*(ResnetBlock(widths[-1], nn.InstanceNorm2d) for _ in range(blocks)))
        widths.reverse()
        self.up = nn.Sequential(*(_normed(_double(a, b, upsample), b) for a, b in pairwise(widths)))
        self.head = nn.Conv2d(ngf, out_channels, 7, padding=3, padding_mode="reflect")
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Draw.

        Parameters
        ----------
        x : Tensor of float, shape (B, in_channels, H, W)
            H and W multiples of ``2 ** downs``, and at least twice that.

        Returns
        -------
        Tensor of float, shape (B, out_channels, H, W)
            -1..1.

        Raises
        ------
        ValueError
            For another height or width.
        """
        height, width = x.shape[-2:]
        if height % self.stride or width % self.stride or min(height, width) < 2 * self.stride:
            raise ValueError(
                f"height and width must be multiples of {self.stride} from {2 * self.stride} up, not {height}×{width}"
            )
        return self.head(self.up(self.blocks(self.down(self.stem(x))))).tanh()


def _normed(convolution: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(convolution, nn.InstanceNorm2d(channels), nn.ReLU(inplace=True))


def _double(inputs: int, outputs: int, mode: str) -> nn.Module:
    return upsample(inputs, outputs, mode=mode, kernel=3)
