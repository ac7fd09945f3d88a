"""The preset of the ablations: what is trained and measured, and the variants that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel, load_preset
from sketchprep.evaluation.degrade import KINDS
from sketchprep.models.deepfacedrawing.training.settings import Settings as Network
from sketchprep.training import presets
from sketchprep.training.options import FREE

__all__ = ["BASE", "Settings", "Variant", "load"]

NAME, BASE = "ablation", "base"
STAGES = ("ce", "fm-is")
WITH, WITHOUT = 0.0, 1.0
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Variant:
    """One model to train and measure.

    Attributes
    ----------
    name : str
        Of its folder.
    changes : tuple of str
        ``key=value`` changes to the base.
    own_codes : bool
        Whether it needs a stage 1 of its own; else it takes the base's.
    ways : tuple of (float, int)
        wb and k with which it is drawn.
    """

    name: str
    changes: tuple[str, ...]
    own_codes: bool
    ways: tuple[tuple[float, int], ...]


class Settings(FrozenModel):
    """All that decides the ablations besides the pairs; see ``pipelines/ablation.yaml``."""

    preset: str = "tiny"
    set: tuple[str, ...] = ()
    images: dict[str, Count] = Field(default={"ce": 60_000, "fm-is": 60_000})
    seed: int = Field(default=0, ge=0)
    latent: tuple[Count, ...] = (128, 256, 512)
    fm_channels: tuple[Count, ...] = (1, 32)
    neighbours: tuple[Count, ...] = (1, 3, 6, 10, 15, 20)
    k: Count = 10
    limit: int | None = Field(default=100, ge=2)
    rough: dict[str, Annotated[float, Field(gt=0, le=64)]] = Field(default={"jitter": 8, "drop": 0.3, "thicken": 4})
    resamples: int = Field(default=2000, ge=1, le=100_000)
    sheet: int = Field(default=4, ge=1, le=50)

    @field_validator("images")
    @classmethod
    def _of_both_stages(cls, value: dict[str, int]) -> dict[str, int]:
        if set(value) != set(STAGES):
            raise ValueError(f"must give a number of images for {' and for '.join(STAGES)}")
        return value

    @field_validator("rough")
    @classmethod
    def _known_kinds(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) - set(KINDS):
            raise ValueError(f"kinds of damage are {', '.join(KINDS)}")
        return value

    def overrides(self, variant: Variant) -> list[str]:
        """Changes to the preset that make a variant."""
        lengths = [f"{stage}.images={self.images[stage]}" for stage in STAGES]
        return [*self.set, *lengths, *variant.changes]

    def network(self, variant: Variant | None = None) -> Network:
        """Settings of a variant's network; of the base by default."""
        return self._loaded(variant, STAGES[1])[1]

    def variants(self) -> list[Variant]:
        """What is trained, the base first; a value that the base has is measured there."""
        both = ((WITH, self.k), (WITHOUT, self.k))
        more = tuple((WITH, k) for k in self.neighbours if k != self.k)
        base = self.network()
        found = [Variant(BASE, (), True, (*both, *more))]
        for key, own, values in (("latent", True, self.latent), ("fm_channels", False, self.fm_channels)):
            found += [
                Variant(f"{key}-{value}", (f"{key}={value}",), own, both)
                for value in dict.fromkeys(values)
                if value != getattr(base, key)
            ]
        return found

    def binding(self, variant: Variant) -> dict[str, Any]:
        """All that decides a variant's figures besides the pairs, as plain JSON values."""
        stages = {}
        for stage in STAGES:
            options, network = self._loaded(variant, stage)
            kept = options.model_dump(mode="json", exclude=set(FREE))
            stages[stage] = {**kept, **network.model_dump(mode="json")}
        measured = self.model_dump(mode="json", include={"seed", "rough", "resamples", "sheet"})
        return {"stages": stages, "ways": [list(way) for way in variant.ways], **measured}

    def _loaded(self, variant: Variant | None, stage: str) -> tuple[Any, Network]:
        changes = self.overrides(variant) if variant else self.set
        return presets.load("deepfacedrawing", self.preset, Network, changes, stage=stage, seed=self.seed)


def load(preset: str | Path = NAME) -> Settings:
    """Read a preset.

    Parameters
    ----------
    preset : str or Path
        ``"ablation"``, the shipped one, or the path of a YAML file.

    Raises
    ------
    UserError
        If it cannot be read, or names what does not exist.
    """
    return load_preset(Settings, preset, NAME)
