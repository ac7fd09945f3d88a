"""Settings of the simplifier's training besides the loop's options: network, losses, mix of pairs."""

from __future__ import annotations

from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel
from sketchprep.errors import UserError
from sketchprep.models.simplifier.data.prepare import mix_of

__all__ = ["Settings"]


class Settings(FrozenModel):
    """What decides the simplifier besides the loop's options.

    Attributes
    ----------
    width : int
        Channels of the network at full resolution; 16 gives 0.875 million weights.
    context : int
        Residual convolutions in its bottleneck, which widen what it sees.
    size : int
        Side of the training pictures in pixels.
    lr : float
        Peak learning rate of AdamW.
    bce, dice, l1 : float
        Weights of the losses, see `sketchprep.models.simplifier.losses`.
    ink_weight : float
        How much more a pixel of ink counts than one of paper.
    mix : str or dict of str to float
        ``"full"``, or for ablations ``"no-synthetic"`` or ``"no-teacher"``; or the share of each kind of pairs, see
        `sketchprep.models.simplifier.data.sampler.Mix`.
    face_weight : bool
        Give pixels of faces more weight.
    """

    width: int = Field(default=16, ge=4, le=128)
    context: int = Field(default=0, ge=0, le=24)
    size: int = Field(default=256, ge=32, multiple_of=8)
    lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    bce: float = Field(default=0.6, ge=0)
    dice: float = Field(default=0.8, ge=0)
    l1: float = Field(default=1.0, ge=0)
    ink_weight: float = Field(default=4.0, ge=1)
    mix: str | dict[str, float] = "full"
    face_weight: bool = True

    @field_validator("mix")
    @classmethod
    def _known_mix(cls, value: str | dict[str, float]) -> str | dict[str, float]:
        try:
            mix_of(value)
        except UserError as error:
            raise ValueError(error.cli_message) from None
        return value
