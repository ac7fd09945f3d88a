"""Inputs of `crop_components`: a built dataset, or any folder of photos or sketches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.datasets.components.layouts import Frame, Subject
from sketchprep.errors import SampleError, UserError
from sketchprep.io.images import decode, decode_gray
from sketchprep.ops.align import align
from sketchprep.ops.resize import rescale_points, resize, resize_labels
from sketchprep.ops.warp import transform_points

if TYPE_CHECKING:
    from sketchprep.datasets.reader import PairDataset
    from sketchprep.datasets.sources.tree import Listing
    from sketchprep.records import Failure

__all__ = ["CropInput", "DatasetInput", "FolderInput", "is_dataset"]

FOLDER_SIZE = 512
# Grey scans and JPEG noise differ by a few levels between channels; a faded colour photo by far more.
GREY_SPREAD = 8
# Share of the frame's side by which landmarks of aligned photos move its corners at most; 40 of CelebA-HQ's: 0.076.
IN_FRAME = 0.08


@dataclass(frozen=True, slots=True)
class CropInput:
    """A picture that is known but not opened: ordinal, id, split, and its number in its input."""

    ordinal: int
    id: str
    source: str
    split: str | None
    number: int


def is_dataset(folder: Path) -> bool:
    """Tell whether a folder holds a dataset, finished or not."""
    return any((folder / name).is_file() for name in ("index.parquet", "plan.parquet", "recipe.yaml"))


class DatasetInput:
    """Pairs of a built dataset.

    Raises
    ------
    UserError
        If the dataset is not finished, has no such split, or is smaller than `size`.
    """

    def __init__(self, folder: Path, split: str | None, size: int | None, kinds: Sequence[str] | None) -> None:
        from sketchprep.datasets.reader import open_pairs, read_recipe

        self.pairs: PairDataset = open_pairs(folder, split)
        self.align = "none"
        self.size = size or self.pairs.size
        self.kinds = tuple(kinds or ("sketch", "photo"))
        self.frame: str | None = self.pairs.recipe["align"]["template"]
        self.has_labels = bool(self.pairs.recipe.get("labels"))
        self.refused: list[Failure] = []
        if self.size > self.pairs.size:
            raise UserError(f"--size {self.size}: the dataset has {self.pairs.size} px; choose at most that")
        with (folder / "index.parquet").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.identity = {"recipe": read_recipe(folder).get("hash"), "index_sha256": digest}

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[CropInput]:
        columns = (self.pairs.table[name] for name in ("ordinal", "id", "source", "split"))
        for number, row in enumerate(zip(*columns, strict=True)):
            ordinal, id_, source, split = (value.as_py() for value in row)
            yield CropInput(ordinal, id_, source, split, number)

    def open(self, item: CropInput) -> Subject:
        """Decode one pair and bring it to the wanted size.

        Raises
        ------
        SampleError
            If a stored picture cannot be decoded or has not the dataset's size.
        """
        pair = self.pairs[item.number]
        names = {member.rsplit(".", 1)[0] for member in pair.files}
        images = {kind: pair[kind] for kind in self.kinds}
        labels = pair["labels"] if "labels" in names else None
        for image in (*images.values(), *([] if labels is None else [labels])):
            if image.shape[:2] != (self.pairs.size,) * 2:
                raise SampleError("size", f"a stored picture is {image.shape[1]}×{image.shape[0]} px")
        points = pair.landmarks
        if self.size != self.pairs.size:
            images = {kind: resize(image, (self.size, self.size)) for kind, image in images.items()}
            labels = None if labels is None else resize_labels(labels, self.size)
            points = None if points is None else rescale_points(points, self.size / self.pairs.size)
        return Subject(images, points, labels)


class FolderInput:
    """Pictures below a folder: square ones as they are, or photos of any shape, aligned by their largest face.

    Parameters
    ----------
    kind : str or None
        ``"photo"`` or ``"sketch"``; None decides by whether the first readable picture has colours.
    frame : {"ffhq", "apdrawing"}
        What photos are aligned to; those that lie in it already are only resized.
    align : {"face", "none"}, optional
        Default ``"face"`` for photos.
    find_landmarks : bool
        Detect a face in each picture that is cut as it is, too.

    Raises
    ------
    UserError
        If there is no picture, or `align` is not for such.
    """

    has_labels = False

    def __init__(
        self, root: Path, size: int | None, kind: str | None, frame: Frame, align: str | None, *, find_landmarks: bool
    ) -> None:
        from sketchprep.datasets.sources import open_tree

        self._tree = open_tree(root)
        self._listing: Listing = self._tree.files()
        self._find = find_landmarks
        self.size = size or FOLDER_SIZE
        if not self._listing.files:
            raise UserError(f"{root}: holds neither a dataset nor pictures; give a folder made by `sketchprep build`")
        self.kinds = (kind or self._guess_kind(),)
        if align == "face" and self.kinds != ("photo",):
            raise UserError(f"--align face: {root} holds sketches, which are cut as they are; leave the option out")
        self.align = align or ("face" if self.kinds == ("photo",) else "none")
        self._template: Frame = frame
        self.frame = frame if self.align == "face" else None
        text = "\n".join(f"{entry.size} {entry.path!r}" for entry in self._listing.files)
        self.identity = {"folder": str(root.resolve()), "listing_sha256": hashlib.sha256(text.encode()).hexdigest()}

    @property
    def refused(self) -> list[Failure]:
        """What was met while listing and cannot be used."""
        from sketchprep.datasets.sources.tree import printable
        from sketchprep.records import Failure

        return [Failure(printable(r.path), "folder", "list", r.kind, r.message) for r in self._listing.refused]

    def __len__(self) -> int:
        return len(self._listing.files)

    def __iter__(self) -> Iterator[CropInput]:
        for number, entry in enumerate(self._listing.files):
            yield CropInput(number, entry.path, "folder", None, number)

    def open(self, item: CropInput) -> Subject:
        """Decode one picture and bring it to the wanted size; see `DatasetInput.open`.

        Raises
        ------
        SampleError
            If it cannot be decoded, is not square, or shows no face where one is needed.
        """
        data = self._tree.read(item.id)
        image = decode(data) if self.kinds == ("photo",) else decode_gray(data)
        if self.align == "face":
            return self._aligned(image)
        height, width = image.shape[:2]
        if height != width:
            raise SampleError("not-square", f"{width}×{height} px; crop it to a square, or build a dataset from it")
        image = resize(image, (self.size, self.size))
        return Subject({self.kinds[0]: image}, self._landmarks(image) if self._find else None)

    def _aligned(self, image: np.ndarray) -> Subject:
        points = self._landmarker.largest(image)
        if points is None:
            raise SampleError(
                "no-face", "no face was found to align by; cut photos that lie in the frame already with --align none"
            )
        aligned = align(image, points, template=self._template, size=self.size)
        if _in_frame(image, aligned.matrix, self.size):
            photo, points = resize(image, (self.size, self.size)), rescale_points(points, self.size / len(image))
        else:
            photo, points = aligned.image, transform_points(aligned.matrix, points)
        return Subject({"photo": photo}, points)

    @cached_property
    def _landmarker(self) -> Any:
        from sketchprep.sketching.landmarks import open_landmarker

        return open_landmarker()

    def _landmarks(self, image: np.ndarray) -> np.ndarray:
        """Landmarks of the largest face."""
        faces = self._landmarker.faces(image)
        if not faces:
            raise SampleError("no-face", "no upright, roughly frontal face was found, and the windows follow landmarks")
        return self._landmarker.points(image, faces[0])

    def _guess_kind(self) -> str:
        for entry in self._listing.files:
            try:
                image = decode(self._tree.read(entry.path))
            except SampleError:
                continue
            spread = image.max(2) - image.min(2)
            return "photo" if np.percentile(spread, 99) > GREY_SPREAD else "sketch"
        return "photo"


def _in_frame(image: np.ndarray, matrix: np.ndarray, size: int) -> bool:
    """Whether a square photo lies in the frame already, but for the noise of its landmarks."""
    height, width = image.shape[:2]
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float64)
    moved = transform_points(matrix, corners) - corners * (size / width)
    return height == width and bool(np.abs(moved).max() <= IN_FRAME * size)
