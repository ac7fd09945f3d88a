"""The base class of sources: samples are listed cheaply, and opened one by one."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sketchprep.datasets.left_out import LeftOut
from sketchprep.datasets.sources import open_tree
from sketchprep.datasets.sources.tables import batches_of
from sketchprep.datasets.sources.tree import Listing
from sketchprep.errors import UserError
from sketchprep.io.marks import is_marked
from sketchprep.io.object_store import location
from sketchprep.records import DecodedPhoto, Failure, Sample

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from sketchprep.sketching.recipe import Recipe

__all__ = ["Fingerprint", "Scan", "Source"]


class Fingerprint(NamedTuple):
    """What a plan keeps of a photo's content.

    Attributes
    ----------
    sha256 : str
        Over the sample's bytes.
    phash : int or None
        Its perceptual hash; None if none was asked for, or if it cannot be decoded.
    marked : bool
        Whether it is a sketch or a contact sheet that sketchprep wrote.
    """

    sha256: str
    phash: int | None = None
    marked: bool = False


@dataclass(slots=True)
class Scan:
    """The result of listing a corpus.

    Attributes
    ----------
    samples : list of Sample
        What can be used, sorted by id.
    refused : list of Failure
        What was met and is not used: links that leave the root, names that are not valid UTF-8, folders that cannot be
        listed, photos without their sketch.  Sorted by id; ``stage`` is ``"list"``.
    left_out : LeftOut
        What else was met: other files, rows of annotations without a photo.
    notes : dict
        Facts for `sketchprep.datasets.sources.describe`, as plain JSON values.
    """

    samples: list[Sample] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    notes: dict[str, Any] = field(default_factory=dict)


class Source(ABC):
    """A corpus of face photos: lists samples cheaply, opens them one by one.

    Instances are small and picklable (a listing is not carried along); workers may as well make their own from
    (name, root, options).  A new source defines `_scan`, the class attributes, and whatever of the rest differs.

    Parameters
    ----------
    root : Path
        The corpus' folder or zip; see `sketchprep.datasets.sources.resolve_root`.
    follow_links : bool
        In a folder, follow links that leave it.

    Attributes
    ----------
    name : str
        The name used in recipes.
    keeps_splits : bool
        True if the corpus' own splits hold whatever way the recipe splits; else they do for ``official`` only.
    frame : str or None
        ``"ffhq"`` if the photos already lie in the FFHQ/CelebA-HQ frame, else None.
    licence, homepage : str
        For the dataset card.
    about : str
        One line on what it is.
    obtain : str
        Where the corpus comes from and how to name it, for the message when it is not found.
    """

    name: ClassVar[str]
    keeps_splits: ClassVar[bool] = False
    frame: str | None = None
    licence: ClassVar[str]
    homepage: ClassVar[str] = ""
    about: ClassVar[str]
    obtain: ClassVar[str]

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        self.root = location(root)
        self.tree = open_tree(self.root, follow_links=follow_links)
        self._scanned: Scan | None = None

    @classmethod
    def bundled(cls) -> Path | None:
        """Return the folder that travels with the package, if this corpus does."""
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scanned": None}

    @abstractmethod
    def _scan(self) -> Scan:
        """List the corpus without opening any picture; neither list needs to be sorted."""

    def scan(self) -> Scan:
        """List the corpus once; later calls return the same lists."""
        if self._scanned is None:
            scan = self._scan()
            scan.samples.sort(key=lambda sample: sample.id)
            scan.refused.sort(key=lambda failure: (failure.id, failure.kind))
            self._scanned = scan
        return self._scanned

    def samples(self) -> list[Sample]:
        """List all photos that can be used, sorted by id, without opening any of them."""
        return list(self.scan().samples)

    def refused(self) -> list[Failure]:
        """List what was met while listing and is not used, as rows of ``failures.parquet``."""
        return list(self.scan().refused)

    def left_out(self) -> LeftOut:
        """What the listing met and does not offer, counted by reason."""
        found = LeftOut()
        found.add_failures(self.refused())
        if not self.listed:
            found.update(self.scan().left_out)
        return found

    def take_list(self, path: Path) -> None:
        """Offer the photos that a file lists instead of all that lie under the root.

        Raises
        ------
        UserError
            If the file is no list, or if this corpus is more than paths.
        """
        raise UserError(f"--list {path}: goes with --source folder; {self.name} says itself which photos it has")

    @property
    def listed(self) -> bool:
        """Whether the photos stand on a list that is taken at its word: none is opened before its shard is made."""
        return False

    def batches(self, limit: int | None = None) -> Iterator[pa.Table]:
        """Yield `samples` as the columns of `sketchprep.datasets.schema.sample_schema`, at most the first `limit`."""
        yield from batches_of(self.scan().samples[:limit])

    def count(self, limit: int | None = None) -> int:
        """Return how many samples `batches` yields."""
        return len(self.scan().samples[:limit])

    def attribute_names(self) -> tuple[str, ...]:
        """Return the names that `Sample.attributes` may hold; empty if the source knows none."""
        return ()

    def mask_names(self) -> tuple[str, ...]:
        """Return the names that `masks` may hold; empty if the source knows none."""
        return ()

    def read(self, path: str) -> bytes:
        """Return the bytes of one file of the corpus.

        Raises
        ------
        SampleError
            If it cannot be read, is larger than 512 MB, or if `path` leads out of the root.
        """
        return self.tree.read(path)

    def load(self, sample: Sample) -> tuple[str, DecodedPhoto]:
        """Open one sample: the sha256 of its bytes and the decoded picture.

        Raises
        ------
        SampleError
            If a file cannot be read or decoded.
        """
        from sketchprep.io import images

        data = self.read(sample.path)
        picture = DecodedPhoto(images.decode(data), encoded=data if images.stores_as_is(data) else None)
        return hashlib.sha256(data).hexdigest(), picture

    def digest(self, sample: Sample) -> str:
        """Return the sha256 over the sample's bytes, as `load` does, without decoding them."""
        return self.fingerprint(sample).sha256

    def fingerprint(self, sample: Sample, *, perceptual: bool = False) -> Fingerprint:
        """Return what a plan keeps of a photo's content, from one reading.

        Parameters
        ----------
        sample : Sample
        perceptual : bool
            Decode it, at a reduced scale, for its perceptual hash.

        Raises
        ------
        SampleError
            If it cannot be read.
        """
        from sketchprep.io.perceptual import photo_hash

        data = self.read(sample.path)
        return Fingerprint(hashlib.sha256(data).hexdigest(), photo_hash(data) if perceptual else None, is_marked(data))

    def thumbnail(self, sample: Sample) -> np.ndarray:
        """Return the photo as `sketchprep.io.perceptual.thumbnail` gives it; raises SampleError."""
        from sketchprep.io.perceptual import thumbnail

        return thumbnail(self.read(sample.path))

    def reuse_stages(self, recipe: Recipe) -> frozenset[str]:
        """Stages of a recipe whose results `load` brings along from now on, so that they need not run."""
        return frozenset()

    def masks(self, sample: Sample) -> dict[str, np.ndarray]:
        """Return the part masks that exist: name to boolean array of shape (h, w).

        A mask covers the photo's whole frame, but may have fewer pixels than the photo.
        """
        return {}

    def details(self) -> dict[str, Any]:
        """Return what only this corpus can say of itself, as plain JSON values for its description."""
        return {}

    def _refuse(self, id: str, kind: str, message: str, *, rejected: bool = False) -> Failure:
        return Failure(id, self.name, "list", kind, message, rejected)

    def _start(self, *listings: Listing) -> Scan:
        """Begin a scan with the refusals and the ignored files of its listings."""
        refused = [self._refuse(item.path, item.kind, item.message) for found in listings for item in found.refused]
        scan = Scan(refused=refused)
        for found in listings:
            scan.left_out.update(found.ignored)
        return scan
