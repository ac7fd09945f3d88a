"""Settings of the baselines: stage 2 of DeepFaceDrawing's presets, with networks of their own shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from sketchprep.core.config import read_yaml
from sketchprep.core.resources import resource
from sketchprep.errors import UserError
from sketchprep.training import presets
from sketchprep.training.options import Options
from sketchprep.training.paired_gan import GanSettings

__all__ = ["SHAPE", "Settings", "plan"]

#: Keys that make up the network.
SHAPE = ("size", "ngf", "downs", "blocks", "upsample")
PRESETS, STAGE = "deepfacedrawing", "fm-is"


class Settings(GanSettings):
    """Shape of a baseline's generator; data, losses and discriminators are `GanSettings`.

    Attributes
    ----------
    ngf, downs, blocks, upsample
        See `sketchprep.models.pix2pix.model.Shape`.
    """

    ngf: int = Field(default=56, ge=1)
    downs: int = Field(default=4, ge=1)
    blocks: int = Field(default=9, ge=1)
    upsample: Literal["transpose", "resize"] = "transpose"


def plan(network: str, preset: str, overrides: Iterable[str] = (), **values: Any) -> tuple[Options, Settings]:
    """Options and settings of a preset's stage 2, with the shape of a baseline.

    Parameters
    ----------
    network : {"unet", "global"}
    preset : str
        Of ``pipelines/deepfacedrawing.yaml`` and ``pipelines/baselines.yaml``.
    overrides : iterable of str
        ``key=value`` changes to the preset, ``fm-is.key=value`` too, as for DeepFaceDrawing.
    **values
        Top-level keys that replace the preset's; None leaves them alone.

    Raises
    ------
    UserError
        For an unknown network, preset or key, or a value of the wrong type or range.
    """
    shapes = read_yaml(resource("pipelines") / "baselines.yaml", "pipelines/baselines.yaml")
    if preset not in shapes:
        raise UserError(f"--preset {preset}: unknown; known: {', '.join(shapes)}")
    if network not in shapes[preset]:
        raise UserError(f"--network {network}: unknown; known: {', '.join(shapes[preset])}")
    shape = [f"{key}={value}" for key, value in shapes[preset][network].items()]
    return presets.load(PRESETS, preset, Settings, [*shape, *overrides], stage=STAGE, skip_unknown=True, **values)
