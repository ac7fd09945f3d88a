"""The preset of the robustness evaluation: YAML read into typed values that refuse what they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel, load_preset

__all__ = ["Settings", "load"]

NAME = "robustness"


class Settings(FrozenModel):
    """All that decides a robustness evaluation besides the model and the pairs; see ``pipelines/robustness.yaml``."""

    seed: int = Field(default=0, ge=0)
    resamples: int = Field(default=2000, ge=1, le=100_000)
    limit: int | None = Field(default=100, ge=2)
    wb: tuple[float, ...] = Field(default=(0, 0.5, 1), min_length=1)
    k: int = Field(default=10, ge=1)
    jitter: tuple[float, ...] = (2, 4, 8, 16)
    drop: tuple[float, ...] = (0.15, 0.3, 0.5, 0.7)
    thicken: tuple[float, ...] = (2, 4, 7, 10)
    erase: tuple[int, ...] = (1, 2, 3, 4)
    sheet: int = Field(default=3, ge=0, le=50)

    @field_validator("wb")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= share <= 1 for share in value) or len(set(value)) != len(value):
            raise ValueError("must be different numbers from 0 to 1")
        return value

    @field_validator("jitter", "drop", "thicken", "erase")
    @classmethod
    def _growing(cls, value: tuple[float, ...], info: Any) -> tuple[float, ...]:
        most = {"jitter": 64, "drop": 1, "thicken": 64, "erase": 5}[info.field_name]
        if list(value) != sorted(set(value)) or not all(0 < amount <= most for amount in value):
            raise ValueError(f"amounts must grow and lie above 0 and at most {most}")
        return value

    def amounts(self, kind: str) -> tuple[float, ...]:
        """The amounts of a kind of degradation, 0 first."""
        return (0, *getattr(self, kind))


def load(preset: str | Path = NAME) -> Settings:
    """Read a preset.

    Parameters
    ----------
    preset : str or Path
        ``"robustness"``, the shipped one, or the path of a YAML file.

    Raises
    ------
    UserError
        If it cannot be read, or names what does not exist.
    """
    return load_preset(Settings, preset, NAME)
