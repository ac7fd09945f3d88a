"""What every source offers to the planner and to the workers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sketchprep.records import Picture, Sample

if TYPE_CHECKING:
    import numpy as np


class Source(ABC):
    """A corpus of face photos: lists samples cheaply, opens them one by one.

    Instances are small and picklable; workers make their own from (name, root, options).

    Parameters
    ----------
    root : Path
        The corpus' folder or zip.

    Attributes
    ----------
    name : str
        The name used in recipes.
    frame : str or None
        ``"ffhq"`` if the photos already lie in the FFHQ/CelebA-HQ frame, else None.
    licence, homepage : str
        For the dataset card.
    """

    name: ClassVar[str]
    frame: ClassVar[str | None] = None
    licence: ClassVar[str]
    homepage: ClassVar[str] = ""
    about: ClassVar[str]

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def samples(self) -> list[Sample]:
        """List all photos, sorted by id, without opening any of them."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return the bytes of one file of the corpus.

        Raises
        ------
        SampleError
            If it cannot be read, or if `path` leads out of the root.
        """

    def load(self, sample: Sample) -> tuple[str, Picture]:
        """Open one sample: the sha256 of its bytes and the decoded picture.

        Raises
        ------
        SampleError
            If a file cannot be read or decoded.
        """
        from sketchprep import imageio

        data = self.read(sample.path)
        picture = Picture(imageio.decode(data), encoded=data if imageio.stores_as_is(data) else None)
        return hashlib.sha256(data).hexdigest(), picture

    def digest(self, sample: Sample) -> str:
        """Return the sha256 over the sample's bytes, as `load` does, without decoding them."""
        return hashlib.sha256(self.read(sample.path)).hexdigest()

    def masks(self, sample: Sample) -> dict[str, np.ndarray]:
        """Return the part masks that exist: name to boolean array of shape (H, W) in the photo's frame."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Summarise what was found, what is missing and what that switches off, for people to read."""
        return {"photos": len(self.samples())}
