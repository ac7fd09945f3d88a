"""Settings of DeepFaceDrawing's two stages besides the loop's options: network, data, losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from sketchprep.ops.face_parts import PARTS
from sketchprep.training.paired_gan import GanSettings

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.networks.modules import Architecture

__all__ = ["ARCHITECTURE", "ENCODER", "Settings", "part_list"]

Share = Annotated[int, Field(ge=1)]

#: Keys that make up the network of both stages, and those of them that stage 1 depends on.
ARCHITECTURE = (
    "size", "latent", "width", "fm_channels", "fm_width", "ngf", "downs", "blocks", "slope", "upsample", "narrow",
    "innermost",
)  # fmt: skip
ENCODER = ("size", "latent", "width", "slope", "upsample", "narrow", "innermost")


class Settings(GanSettings):
    """Networks and stage 1 of DeepFaceDrawing; data and stage 2's losses are `GanSettings`.

    Attributes
    ----------
    size, latent, width, fm_channels, fm_width, ngf, downs, blocks, slope, upsample, narrow, innermost
        The networks, see `sketchprep.models.deepfacedrawing.networks.modules.Architecture`.
    parts : tuple of str
        Autoencoders of stage 1.
    shares : dict of str to int
        Stage 1: a part's autoencoder takes a step in every so many, 1 where none is given, relative to the part that
        is trained most.
    ink_weight : float
        Stage 1: how much more a pixel of ink counts than one of paper; 1 is the plain mean square.
    fm_start : {"image_decoders", "random"}
        Stage 2: what the feature decoders begin with, see
        `sketchprep.models.deepfacedrawing.training.image_synthesis.begin_with_decoders`.
    fm_train : {"all", "last"}
        Stage 2: whether all layers of the feature decoders are trained, or only the last convolution; the others then
        stay what the image decoders have learnt, so their channels must be the same.
    """

    latent: int = Field(default=512, ge=1)
    width: int = Field(default=32, ge=1)
    fm_channels: int = Field(default=32, ge=1)
    fm_width: int = Field(default=64, ge=4)
    ngf: int = Field(default=56, ge=1)
    downs: int = Field(default=4, ge=1)
    blocks: int = Field(default=9, ge=1)
    slope: float = Field(default=0.2, ge=0, le=1)
    upsample: Literal["transpose", "resize"] = "transpose"
    narrow: int | None = Field(default=None, ge=1)
    innermost: int | None = Field(default=None, ge=1)

    parts: tuple[str, ...] = PARTS
    shares: dict[str, Share] = Field(default_factory=dict)
    ink_weight: float = Field(default=1.0, ge=1)

    fm_start: Literal["image_decoders", "random"] = "image_decoders"
    fm_train: Literal["all", "last"] = "all"

    @field_validator("parts")
    @classmethod
    def _known_parts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return part_list(value)

    @field_validator("shares")
    @classmethod
    def _shares_of_parts(cls, value: dict[str, int]) -> dict[str, int]:
        part_list(value or PARTS)
        return value

    def architecture(self) -> Architecture:
        """The networks' description."""
        from sketchprep.models.deepfacedrawing.networks.modules import Architecture

        return Architecture(**{key: getattr(self, key) for key in ARCHITECTURE})

    def encoder(self) -> dict[str, Any]:
        """The keys of the architecture that stage 1 depends on."""
        return {key: getattr(self, key) for key in ENCODER}


def part_list(names: Any) -> tuple[str, ...]:
    """Return parts in their order; ValueError for an unknown one, or none."""
    unknown = sorted(set(names) - set(PARTS))
    if unknown or not names:
        raise ValueError(f"parts are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in names)
