"""Settings of DeepFaceDrawing's two stages besides the loop's options: network, data, losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sketchprep.errors import UserError
from sketchprep.ops.face_parts import PARTS
from sketchprep.training.augment import Augment

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.networks.modules import Architecture
    from sketchprep.training.paired_data import PairedFaces

__all__ = ["ARCHITECTURE", "ENCODER", "Settings", "part_list"]

Share = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]

#: Keys that make up the network of both stages, and those of them that stage 1 depends on.
ARCHITECTURE = (
    "size", "latent", "width", "fm_channels", "fm_width", "ngf", "downs", "blocks", "slope", "upsample", "narrow",
    "innermost",
)  # fmt: skip
ENCODER = ("size", "latent", "width", "slope", "upsample", "narrow", "innermost")
LEAST_PAIRS = 2


class Settings(BaseModel):
    """What decides DeepFaceDrawing besides the loop's options.

    Attributes
    ----------
    size, latent, width, fm_channels, fm_width, ngf, downs, blocks, slope, upsample, narrow, innermost
        The networks, see `sketchprep.models.deepfacedrawing.networks.modules.Architecture`.
    sketch : str
        Which of the dataset's pictures is the sketch: ``"sketch"`` or a stored stage.
    split : str
        The part of the dataset that is trained on.
    limit : int, optional
        Only the first so many pairs.
    augment : Augment
        Changes made to training sketches, see `sketchprep.training.augment.Augment`; all off by default.
    lr : float
        Peak learning rate of Adam.
    betas : pair of float
    parts : tuple of str
        Autoencoders of stage 1.
    shares : dict of str to int
        Stage 1: a part's autoencoder takes a step in every so many, 1 where none is given, relative to the part that
        is trained most.
    ink_weight : float
        Stage 1: how much more a pixel of ink counts than one of paper; 1 is the plain mean square.
    gan, feature_matching, l1, perceptual : float
        Stage 2: weights of the generator's losses.
    perceptual_layers : tuple of int
        Stages of the VGG trunk that are compared, 1 (fine) to 5 (coarse).
    perceptual_size : int
        Side in pixels of the random crop that is compared; 0 compares whole pictures.
    perceptual_weights : str, optional
        File with weights of VGG16 or VGG19; default the trunk of HED, which sketches are made with.
    ndf, scales : int
        Stage 2: channels and number of the discriminators.
    condition : {"sketch", "features"}
        What the discriminators see beside the picture.
    fm_start : {"image_decoders", "random"}
        Stage 2: what the feature decoders begin with, see
        `sketchprep.models.deepfacedrawing.training.image_synthesis.begin_with_decoders`.
    fm_train : {"all", "last"}
        Stage 2: whether all layers of the feature decoders are trained, or only the last convolution; the others then
        stay what the image decoders have learnt, so their channels must be the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    size: int = Field(default=512, ge=64, le=512, multiple_of=64)
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

    sketch: str = "sketch"
    split: str = "train"
    limit: int | None = Field(default=None, ge=1)
    augment: Augment = Augment()

    lr: float = Field(default=2e-4, gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.5, 0.999)

    parts: tuple[str, ...] = PARTS
    shares: dict[str, Share] = {}
    ink_weight: float = Field(default=1.0, ge=1)

    gan: Weight = 1.0
    feature_matching: Weight = 10.0
    l1: Weight = 10.0
    perceptual: Weight = 10.0
    perceptual_layers: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (1, 2, 3, 4, 5)
    perceptual_size: int = Field(default=0, ge=0)
    perceptual_weights: str | None = None
    ndf: int = Field(default=64, ge=1)
    scales: int = Field(default=3, ge=1, le=4)
    condition: Literal["sketch", "features"] = "sketch"
    fm_start: Literal["image_decoders", "random"] = "image_decoders"
    fm_train: Literal["all", "last"] = "all"

    @field_validator("size")
    @classmethod
    def _known_size(cls, value: int) -> int:
        if value not in (64, 128, 256, 512):
            raise ValueError("a frame is 64, 128, 256 or 512 px")
        return value

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

    def faces(self, data: str | Path, *, seed: int = 0, photos: bool = True) -> PairedFaces:
        """The pairs of a dataset to train on; raises as `paired_data.PairedFaces`, and if there is only one."""
        from sketchprep.training.paired_data import PairedFaces

        faces = PairedFaces(
            data, size=self.size, split=self.split, sketch=self.sketch, seed=seed, photos=photos, augment=self.augment,
            limit=self.limit,
        )  # fmt: skip
        if len(faces) < LEAST_PAIRS:
            raise UserError(
                f"{data}: has only {len(faces)} pair to train on (split {self.split}); training needs {LEAST_PAIRS} at "
                "the very least, and thousands to be of use"
            )
        return faces

    def held_out(self, data: str | Path, *, photos: bool = True) -> PairedFaces:
        """The pairs of a dataset to judge by, see `sketchprep.training.paired_data.held_out`."""
        from sketchprep.training.paired_data import held_out

        return held_out(data, size=self.size, sketch=self.sketch, photos=photos)


def part_list(names: Any) -> tuple[str, ...]:
    """Return parts in their order; ValueError for an unknown one, or none."""
    unknown = sorted(set(names) - set(PARTS))
    if unknown or not names:
        raise ValueError(f"parts are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in names)
