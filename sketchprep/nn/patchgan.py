"""pix2pixHD's discriminators: the same PatchGAN at several scales of the picture (Wang et al., CVPR 2018).

Convolutions that InstanceNorm follows have no bias, see `sketchprep.nn.blocks`.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.nn.blocks import init_weights

__all__ = ["MultiscaleDiscriminator", "PatchDiscriminator"]

_MOST_CHANNELS = 512


class PatchDiscriminator(nn.Module):
    """Convolutions of side 4 whose last map judges overlapping patches (Isola et al. 2017), 70 px with three layers.

    Parameters
    ----------
    in_channels : int
        Of condition and picture together.
    ndf : int
        Channels of the first convolution, doubled with each layer up to 512.
    layers : int
        Convolutions of stride 2; two of stride 1 follow.
    """

    def __init__(self, in_channels: int, *, ndf: int = 64, layers: int = 3) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.Sequential(nn.Conv2d(in_channels, ndf, 4, 2, 2), nn.LeakyReLU(0.2, inplace=True))]
        channels = ndf
        for layer in range(1, layers + 1):
            wider = min(2 * channels, _MOST_CHANNELS)
            stride = 1 if layer == layers else 2
            steps.append(
                nn.Sequential(
                    nn.Conv2d(channels, wider, 4, stride, 2, bias=False),
                    nn.InstanceNorm2d(wider),
                    nn.LeakyReLU(0.2, inplace=True),
                )
            )
            channels = wider
        steps.append(nn.Conv2d(channels, 1, 4, 1, 2))
        self.steps = nn.ModuleList(steps)
        init_weights(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) to the activations after each convolution, the logits (B, 1, h, w) last."""
        activations = []
        for step in self.steps:
            x = step(x)
            activations.append(x)
        return activations


class MultiscaleDiscriminator(nn.Module):
    """One `PatchDiscriminator` for the picture, one for its half, one for its quarter and so on; no shared weights.

    Parameters
    ----------
    in_channels, ndf, layers
        See `PatchDiscriminator`.
    scales : int
        pix2pixHD and DeepFaceDrawing name 3; 2 suffice up to 256 px.
    """

    def __init__(self, in_channels: int, *, ndf: int = 64, layers: int = 3, scales: int = 3) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(in_channels, ndf=ndf, layers=layers) for _ in range(scales))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Judge.

        Parameters
        ----------
        x : Tensor of float, shape (B, in_channels, H, W)
            Condition and picture, joined along the channels; sides of 4 px and more at the coarsest scale.

        Returns
        -------
        list of list of Tensor
            Finest scale first; in each the activations after every convolution, the last being the map of logits.
        """
        results = []
        for index, discriminator in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            results.append(discriminator(x))
        return results
