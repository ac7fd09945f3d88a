"""Architecture of DeepFaceDrawing: sizes and channels, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from sketchprep.errors import UserError
from sketchprep.nn.blocks import UPSAMPLES
from sketchprep.ops.face_parts import windows

__all__ = ["Architecture"]

_STAGES = {64: 2, 128: 3, 256: 4, 512: 5}
# Channels of the released feature decoder from its innermost map to its last, 64 each; small frames take the last ones.
_FEATURE_PLAN = (8, 4, 4, 2, 1, 1)


@dataclass(frozen=True)
class Architecture:
    """What fixes the shape of every weight; plain values, so that ``dataclasses.asdict`` goes into JSON.

    The defaults are the authors' (512 px) but for `slope`.

    Parameters
    ----------
    size : {512, 256, 128, 64}
        Height and width of sketch and face in pixels.  Halvings are 5, 4, 3, 2, so a part's inner map is as large
        at every size: eyes 4×4, nose 5×5, mouth 6×6, remainder 16×16.
    latent : int
        Numbers in a part's code.
    width : int
        Channels after an encoder's first convolution, doubled with each of the others.
    innermost : int, optional
        Channels of the innermost map of encoders and both kinds of decoders, instead of what the doubling gives: the
        linear layers, which hold most weights of a small model, shrink with it.
    narrow : int, optional
        Channels to which a 1×1 convolution narrows the remainder's inner map before its linear layer, and from which
        one widens it after that in the decoders.  Without it, that layer holds most of a model's weights.
    fm_channels : int
        Of each part's feature map; 1 is the paper's ablation.
    fm_width : int
        Channels of the feature decoders' last map; the inner ones have 2, 4 and at most 8 times as many.
    ngf, downs, blocks : int
        Of the image synthesis, see `sketchprep.nn.pix2pixhd.GlobalGenerator`.
    slope : float
        Of LeakyReLU after the encoders' and decoders' strided convolutions, 0..1; 1 gives the linear blocks of the
        released code.
    upsample : {"transpose", "resize"}
        See `sketchprep.nn.blocks.upsample`.

    Raises
    ------
    UserError
        For a value that no network can have.
    """

    size: int = 512
    latent: int = 512
    width: int = 32
    fm_channels: int = 32
    fm_width: int = 64
    ngf: int = 56
    downs: int = 4
    blocks: int = 9
    slope: float = 0.2
    upsample: str = "transpose"
    narrow: int | None = None
    innermost: int | None = None

    def __post_init__(self) -> None:
        if self.size not in _STAGES:
            raise UserError(f"size={self.size} is no size of DeepFaceDrawing; use 128, 256 or 512")
        for key in ("latent", "width", "fm_channels", "fm_width", "ngf", "downs", "blocks", "narrow", "innermost"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise UserError(f"{key}={value} is too small; use 1 or more")
        if self.size < 2 ** (self.downs + 1):
            raise UserError(f"downs={self.downs} halves {self.size} px to nothing; use a smaller one")
        if not 0 <= self.slope <= 1:
            raise UserError(f"slope={self.slope} is out of range; use 0 to 1")
        if self.upsample not in UPSAMPLES:
            raise UserError(f"upsample={self.upsample!r} is unknown; use {' or '.join(UPSAMPLES)}")

    @property
    def stages(self) -> int:
        """Halvings in an encoder."""
        return _STAGES[self.size]

    @property
    def encoder_channels(self) -> list[int]:
        """Channels after each halving of an encoder."""
        channels = [self.width * 2**stage for stage in range(self.stages)]
        if self.innermost is not None:
            channels[-1] = self.innermost
        return channels

    @property
    def feature_channels(self) -> list[int]:
        """Channels of a feature decoder's maps, from the innermost to the one of full size."""
        channels = [self.fm_width * factor for factor in _FEATURE_PLAN[-self.stages - 1 :]]
        if self.innermost is not None:
            channels[0] = self.innermost
        return channels

    def side(self, part: str) -> int:
        """Height and width of a part's inner map: 4, 5, 6 or 16."""
        return windows(self.size)[part].width >> self.stages

    def narrowed(self, part: str) -> int | None:
        """Channels to which this part's inner map is narrowed, or None."""
        return self.narrow if part == "remainder" else None
