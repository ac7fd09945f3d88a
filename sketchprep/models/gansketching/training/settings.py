"""Settings of the two trainings: of a StyleGAN2 on photos, and of a generator on sketches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel
from sketchprep.models.gansketching.diffaugment import POLICIES
from sketchprep.models.gansketching.stylegan2.architecture import SIZES, Architecture

__all__ = ["BaseSettings", "SketchSettings", "StyleGAN2Settings"]

Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class BaseSettings(FrozenModel):
    """What both trainings share.

    Attributes
    ----------
    lr, lr_critic : float
        Peak learning rates of the generator and of the discriminators.
    betas : pair of float
        Of Adam.
    r1 : float
        γ: the penalty is γ / 2 times the squared gradient norm on real pictures.
    r1_every : int
        Steps from one penalty to the next, which is weighted by as much.
    mixing : float
        Share of batches whose styles come from two z.
    augment : tuple of str
        See `sketchprep.models.gansketching.diffaugment.POLICIES`.
    fill : float
        What translations bring in from outside, -1 (black) to 1 (white).
    """

    lr: float = Field(default=2e-3, gt=0)
    lr_critic: float = Field(default=2e-3, gt=0)
    betas: tuple[Beta, Beta] = (0.0, 0.99)
    r1: Weight = 10.0
    r1_every: int = Field(default=16, ge=1)
    mixing: Share = 0.9
    augment: tuple[str, ...] = ()
    fill: float = Field(default=0.0, ge=-1, le=1)

    @field_validator("augment")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in POLICIES:
                raise ValueError(f"knows {', '.join(POLICIES)}, not {name}")
        return value


class StyleGAN2Settings(BaseSettings):
    """Shape of a StyleGAN2 and the photos that it is trained on.

    Attributes
    ----------
    size : int
        Side of the pictures in pixels.
    style_dim, mapping_layers, channel_base, channel_max
        See `sketchprep.models.gansketching.stylegan2.architecture.Architecture`.
    flip : bool
        Whether photos are mirrored at random.
    split : str
        Of a dataset: the part that is trained on.
    limit : int, optional
        Only the first so many photos.
    """

    size: int = 64
    style_dim: int = Field(default=256, ge=1)
    mapping_layers: int = Field(default=4, ge=1)
    channel_base: int = Field(default=4096, ge=1)
    channel_max: int = Field(default=128, ge=1)
    flip: bool = True
    split: str = "train"
    limit: int | None = Field(default=None, ge=1)

    @field_validator("size")
    @classmethod
    def _size(cls, value: int) -> int:
        if value not in SIZES:
            raise ValueError(f"must be one of {', '.join(map(str, SIZES))}")
        return value

    def architecture(self) -> Architecture:
        """Of generator and discriminator."""
        return Architecture(
            self.size, self.style_dim, self.mapping_layers, channel_base=self.channel_base, channel_max=self.channel_max
        )


class SketchSettings(BaseSettings):
    """How a generator follows sketches.

    Attributes
    ----------
    trained : {"mapping", "w_shift", "all"}
        The part of the generator that changes.
    drawer : {"simplifier", "photocopy", "hed", "photosketch"}
        The network that draws the generator's pictures, see `sketchprep.models.gansketching.drawer`.
    drawer_weights : str, optional
        File of PhotoSketch's weights.
    clean : bool
        Whether the sketches go through the simplifier, so that they share line width and style with what is drawn.
    fake, real : str
        Transforms of generated pictures and of sketches, see `sketchprep.models.gansketching.transforms.chain`.
    image : float
        λ: weight of the discriminator for photos; 0 trains without one.
    weight_distance : float
        Weight of the distance of the trained weights from where they began.
    loss : str
        See `sketchprep.models.gansketching.losses.KINDS`.
    """

    trained: Literal["mapping", "w_shift", "all"] = "mapping"
    drawer: Literal["simplifier", "photocopy", "hed", "photosketch"] = "simplifier"
    drawer_weights: str | None = None
    clean: bool = True
    fake: str = "toSketch,to3ch"
    real: str = "to3ch"
    image: Weight = 0.7
    weight_distance: Weight = 0.0
    loss: Literal["softplus", "original", "ls", "hinge", "w"] = "softplus"
    augment: tuple[str, ...] = ("translation",)
    fill: float = Field(default=1.0, ge=-1, le=1)
