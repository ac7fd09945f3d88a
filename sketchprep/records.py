"""The nouns of a build: one small frozen dataclass each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

__all__ = ["DecodedPhoto", "Failure", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One photo that a source offers, named but not yet opened.

    Attributes
    ----------
    id : str
        Unique within its source and stable between machines, for instance ``"00012"`` or ``"holiday/anna.jpg"``.
    source : str
        Name of the source.
    path : str
        Where the bytes lie: a POSIX path relative to the source's root (or a member of its zip).
    size : int
        Size of the encoded photo in bytes, as listed; -1 if the listing could not tell.
    sketch_path : str or None
        For ready-made pairs: where the drawing lies.  Equal to `path` when both share one side-by-side picture.
    attributes : tuple of str or None
        The attributes that are true of the picture, sorted; None where the source has no annotation for it.
    pose : tuple of float or None
        (yaw, pitch, roll) in degrees from the source's own annotation.
    split : str or None
        The corpus' official split, ``"train"``, ``"val"`` or ``"test"``.
    """

    id: str
    source: str
    path: str
    size: int = -1
    sketch_path: str | None = None
    attributes: tuple[str, ...] | None = None
    pose: tuple[float, float, float] | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """An opened sample.

    Attributes
    ----------
    photo : ndarray of uint8, shape (H, W, 3)
        RGB in sRGB, upright.
    sketch : ndarray of uint8, shape (H, W), or None
        A ready-made drawing for the same scene, black ink on white.
    encoded : bytes or None
        The photo's own file if it can be stored unchanged (see `images.stores_as_is`), else None.
    landmarks : ndarray of float64, shape (68, 2), or None
        In pixels of the photo, where the source knows them.
    stages : mapping of str to ndarray of uint8, shape (H, W)
        Results of stages that the source brings along.
    notes : tuple of str
        What was done to make a pair of it; counted in the summary of a build.
    """

    photo: np.ndarray
    sketch: np.ndarray | None = None
    encoded: bytes | None = None
    landmarks: np.ndarray | None = None
    stages: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sample is not in the dataset: one row of ``failures.parquet``."""

    id: str
    source: str
    stage: str
    kind: str
    message: str
    rejected: bool = field(default=False)
