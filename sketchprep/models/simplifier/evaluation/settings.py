"""Settings of the evaluation, read from a YAML preset."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel, load_preset
from sketchprep.errors import UserError
from sketchprep.evaluation.landmark_coverage import PARTS
from sketchprep.models.simplifier.evaluation.methods import METHODS

__all__ = ["Settings", "load"]


class Synthetic(FrozenModel):
    """A set of generated pairs: how many, and their side in pixels."""

    count: int = Field(default=64, ge=0)
    size: int = Field(default=256, ge=32, le=1024)


class Photocopies(FrozenModel):
    """Photocopies of held-out portraits: how many, and by which variants of the filter."""

    count: int = Field(default=48, ge=0)
    variants: tuple[str, ...] = Field(default=("gegl", "classic"), min_length=1)

    @field_validator("variants")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _all_known(value, ("gegl", "classic"))


class Faces(FrozenModel):
    """How parts of faces are judged; see `sketchprep.evaluation.landmark_coverage.coverage`.

    Attributes
    ----------
    count : int
        Faces of each folder.
    reach : float
        In pixels at 512.
    share : float
        Of a part's length, from which on the part is there.
    judged : tuple of str
        Parts that a face must have altogether, and by which the worst are found.
    worst : int
        How many of the worst faces are listed and shown.
    """

    count: int = Field(default=100, ge=0)
    reach: float = Field(default=3.0, gt=0)
    share: float = Field(default=0.8, gt=0, le=1)
    judged: tuple[str, ...] = Field(default=("left_eye", "right_eye", "nose_base", "mouth", "jaw"), min_length=1)
    worst: int = Field(default=10, ge=0, le=100)

    @field_validator("judged")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _all_known(value, tuple(PARTS))


class Settings(FrozenModel):
    """All that decides an evaluation besides pictures and weights; see ``pipelines/simplify-eval.yaml``."""

    methods: tuple[str, ...] = Field(default=tuple(METHODS), min_length=1)
    level: float = Field(default=0.5, gt=0, le=1)
    tolerance: float = Field(default=2.0, ge=0)
    specks_below: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
    resamples: int = Field(default=2000, ge=1, le=100_000)
    drawings: Synthetic = Synthetic()
    scenes: Synthetic = Synthetic()
    photocopies: Photocopies = Photocopies()
    faces: Faces = Faces()
    sheet: int = Field(default=6, ge=0, le=100)

    @field_validator("methods")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _all_known(value, tuple(METHODS))

    def limited(self, limit: int | None) -> Settings:
        """The same with at most `limit` pictures in each set."""
        if limit is None:
            return self
        if limit < 1:
            raise UserError(f"--limit {limit}: must be at least 1")
        parts = {
            name: getattr(self, name).model_copy(update={"count": min(limit, getattr(self, name).count)})
            for name in ("drawings", "scenes", "photocopies", "faces")
        }
        return self.model_copy(update=parts)


def _all_known(values: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value not in known:
            raise ValueError(f"'{value}' is unknown; known: {', '.join(known)}")
    if len(set(values)) != len(values):
        raise ValueError("each name can stand there once")
    return values


def load(preset: str | Path = "simplify-eval") -> Settings:
    """Read a preset.

    Parameters
    ----------
    preset : str or Path
        ``"simplify-eval"``, the shipped one, or the path of a YAML file.

    Raises
    ------
    UserError
        If it cannot be read, or names what does not exist.
    """
    return load_preset(Settings, preset, "simplify-eval")
