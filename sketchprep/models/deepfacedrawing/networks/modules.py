"""DeepFaceDrawing (Chen, Su, Gao, Xia & Fu, SIGGRAPH 2020): five part encoders, feature maps, image synthesis.

A sketch is cut into two eyes, nose, mouth and the remainder.  Stage 1 trains an autoencoder for each (`Autoencoder`);
its encoder turns a part into a code.  Stage 2 trains five decoders that turn codes into feature maps as large as the
parts, lays these maps over one another, and draws the photo from them with pix2pixHD's global generator
(`FaceGenerator`).  Layers follow the authors' released code, with two differences: activations really bend
(`Architecture.slope`), and convolutions that a normalisation follows have no bias, whose gradient would be nothing but
rounding noise, which Adam blows up to full steps.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sketchprep.models.deepfacedrawing.networks.architecture import Architecture
from sketchprep.models.deepfacedrawing.networks.windows import fuse, part_images
from sketchprep.nn.blocks import ResnetBlock, activation, init_weights, upsample
from sketchprep.nn.pix2pixhd import GlobalGenerator
from sketchprep.ops.face_parts import PARTS

__all__ = [
    "Architecture",
    "Autoencoder",
    "Encoder",
    "Encoders",
    "FaceGenerator",
    "FeatureDecoder",
    "ImageDecoder",
    "fuse",
    "part_images",
]


class Encoder(nn.Module):
    """From a part of a sketch to its code.

    Parameters
    ----------
    part : str
        One of ``face_parts.PARTS``.
    arch : Architecture
    """

    def __init__(self, part: str, arch: Architecture) -> None:
        super().__init__()
        channels = arch.encoder_channels
        layers: list[nn.Module] = _halving(1, channels[0], arch.slope)
        for inputs, outputs in pairwise(channels):
            layers += [ResnetBlock(inputs), *_halving(inputs, outputs, arch.slope)]
        layers.append(ResnetBlock(channels[-1]))
        last = channels[-1]
        if narrow := arch.narrowed(part):
            layers.append(nn.Conv2d(last, narrow, 1))
            last = narrow
        self.body = nn.Sequential(*layers)
        self.code = nn.Linear(last * arch.side(part) ** 2, arch.latent)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, s, s) in -1..1, 1 white, to (B, latent)."""
        return self.code(self.body(x).flatten(1))


def _halving(inputs: int, outputs: int, slope: float) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), activation(slope)]


class _Decoder(nn.Module):
    """From a code to maps as large as the part: linear layer, residual block, doublings, 5×5 convolution."""

    def __init__(self, part: str, arch: Architecture, channels: list[int], outputs: int) -> None:
        super().__init__()
        self.side = arch.side(part)
        narrow = arch.narrowed(part)
        self.inner = narrow or channels[0]
        self.code = nn.Linear(arch.latent, self.inner * self.side**2)
        layers: list[nn.Module] = [nn.Conv2d(narrow, channels[0], 1)] if narrow else []
        layers.append(ResnetBlock(channels[0]))
        for a, b in pairwise(channels):
            layers += [upsample(a, b, mode=arch.upsample), nn.BatchNorm2d(b), activation(arch.slope), ResnetBlock(b)]
        layers.append(nn.Conv2d(channels[-1], outputs, 5, padding=2, padding_mode="reflect"))
        self.body = nn.Sequential(*layers)
        self._frozen = False
        init_weights(self)

    def forward(self, code: Tensor) -> Tensor:
        """(B, latent) to (B, outputs, s, s); any number may come out."""
        return self.body(self.code(code).unflatten(1, (self.inner, self.side, self.side)))

    @property
    def last(self) -> str:
        """Name of the last convolution."""
        return f"body.{len(self.body) - 1}"

    def freeze(self) -> None:
        """Leave all but the last convolution as it is from now on, running statistics included."""
        self._frozen = True
        self.requires_grad_(False)
        self.body[-1].requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> _Decoder:
        """Set the mode; what is frozen stays in eval mode."""
        super().train(mode)
        if self._frozen:
            self.code.eval()
            self.body[:-1].eval()
        return self


class ImageDecoder(_Decoder):
    """From a code back to the part's sketch, (B, latent) to (B, 1, s, s), without an activation at the end.

    Parameters
    ----------
    part : str
        One of ``face_parts.PARTS``.
    arch : Architecture
    """

    def __init__(self, part: str, arch: Architecture) -> None:
        channels = arch.encoder_channels
        super().__init__(part, arch, [*reversed(channels), channels[0]], 1)


class FeatureDecoder(_Decoder):
    """From a code to the part's feature map, (B, latent) to (B, fm_channels, s, s), without an activation at the end.

    Parameters
    ----------
    part : str
        One of ``face_parts.PARTS``.
    arch : Architecture
    """

    def __init__(self, part: str, arch: Architecture) -> None:
        super().__init__(part, arch, arch.feature_channels, arch.fm_channels)


class Autoencoder(nn.Module):
    """Encoder and image decoder of one part: what stage 1 trains.

    Parameters
    ----------
    part : str
        One of ``face_parts.PARTS``.
    arch : Architecture
    """

    def __init__(self, part: str, arch: Architecture) -> None:
        super().__init__()
        self.encoder = Encoder(part, arch)
        self.decoder = ImageDecoder(part, arch)

    def forward(self, x: Tensor) -> Tensor:
        """The part, (B, 1, s, s) in -1..1, drawn again from its code: same shape, range not bounded."""
        return self.decoder(self.encoder(x))


class Encoders(nn.Module):
    """The five encoders.

    Parameters
    ----------
    arch : Architecture

    Attributes
    ----------
    parts : ModuleDict
        An `Encoder` for each of ``face_parts.PARTS``.
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.size = arch.size
        self.parts = nn.ModuleDict({part: Encoder(part, arch) for part in PARTS})

    def forward(self, sketch: Tensor, flip: Tensor | None = None) -> Tensor:
        """Encode sketches.

        Parameters
        ----------
        sketch : Tensor of float, shape (B, 1, size, size)
            -1 (ink) to 1 (paper).
        flip : Tensor of bool, shape (B,), optional
            True for samples that were mirrored.

        Returns
        -------
        Tensor of float, shape (B, 5, latent)
            In the order of ``face_parts.PARTS``.
        """
        images = part_images(sketch, self.size, flip)
        return torch.stack([encoder(images[part]) for part, encoder in self.parts.items()], dim=1)


class FaceGenerator(nn.Module):
    """From five codes to a face: feature decoders, fusion, image synthesis; what stage 2 trains.

    Parameters
    ----------
    arch : Architecture

    Attributes
    ----------
    decoders : ModuleDict
        A `FeatureDecoder` for each of ``face_parts.PARTS``.
    generator : GlobalGenerator
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.size = arch.size
        self.decoders = nn.ModuleDict({part: FeatureDecoder(part, arch) for part in PARTS})
        self.generator = GlobalGenerator(
            arch.fm_channels, ngf=arch.ngf, downs=arch.downs, blocks=arch.blocks, upsample=arch.upsample
        )

    def features(self, codes: Tensor, flip: Tensor | None = None) -> Tensor:
        """The fused feature map.

        Parameters
        ----------
        codes : Tensor of float, shape (B, 5, latent)
            In the order of ``face_parts.PARTS``.
        flip : Tensor of bool, shape (B,), optional
            True for samples whose parts belong into the mirrored windows.

        Returns
        -------
        Tensor of float, shape (B, fm_channels, size, size)
        """
        maps = {
            part: decoder(code) for (part, decoder), code in zip(self.decoders.items(), codes.unbind(1), strict=True)
        }
        return fuse(maps, self.size, flip)

    def forward(self, codes: Tensor, flip: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The face, (B, 3, size, size) in -1..1, and the fused feature map it was drawn from; see `features`."""
        features = self.features(codes, flip)
        return self.generator(features), features
