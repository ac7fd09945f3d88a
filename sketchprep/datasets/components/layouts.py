"""The layouts of `crop_components`: windows of face parts, and whole pictures with masks applied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from sketchprep.errors import SampleError
from sketchprep.ops import align, face_parts, helen_labels
from sketchprep.ops.face_parts import Window

__all__ = ["LAYOUTS", "Frame", "Layout", "Subject"]

Frame = Literal["ffhq", "apdrawing"]


@dataclass(frozen=True)
class Subject:
    """One picture, or one pair, in the frame.

    Attributes
    ----------
    images : dict of str to uint8 ndarray
        By kind: ``"sketch"`` of shape (size, size), ``"photo"`` of shape (size, size, 3).
    landmarks : ndarray of float, shape (68, 2) or (5, 2), or None
        In pixels of the frame.
    labels : ndarray of uint8, shape (size, size), or None
        CelebAMask-HQ's classes.
    """

    images: Mapping[str, np.ndarray]
    landmarks: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def size(self) -> int:
        return len(next(iter(self.images.values())))


class Layout(ABC):
    """A system's parts.

    Attributes
    ----------
    name : str
    centres : tuple of str
        How its windows may be centred; the first is its own way.
    frame : {"ffhq", "apdrawing"}
        The alignment template its sizes were chosen for.
    needs_labels : bool
        Whether nothing can be cut without a label map.
    """

    name: ClassVar[str]
    centres: ClassVar[tuple[str, ...]]
    frame: ClassVar[Frame] = "ffhq"
    needs_labels: ClassVar[bool] = False

    @abstractmethod
    def windows(self, subject: Subject, centre: str) -> dict[str, Window]:
        """Return the window of every part this subject has, in order.

        Raises
        ------
        SampleError
            If landmarks or labels are needed and missing.
        """

    @abstractmethod
    def cut(self, subject: Subject, windows: Mapping[str, Window]) -> dict[tuple[str, str], np.ndarray]:
        """Return the pictures by (part, kind); nothing of the subject is changed."""


class DeepFaceDrawing(Layout):
    """Five squares; the remainder is the whole picture with the other four windows painted white."""

    name = "deepfacedrawing"
    centres = ("fixed", "landmarks")

    def windows(self, subject: Subject, centre: str) -> dict[str, Window]:
        if centre == "fixed":
            return face_parts.windows(subject.size)
        return face_parts.landmark_windows(_landmarks(subject), size=subject.size)

    def cut(self, subject: Subject, windows: Mapping[str, Window]) -> dict[tuple[str, str], np.ndarray]:
        four = {part: window for part, window in windows.items() if part != "remainder"}
        pieces: dict[tuple[str, str], np.ndarray] = {}
        for kind, image in subject.images.items():
            pieces |= {(part, kind): face_parts.crop(image, window) for part, window in four.items()}
            pieces["remainder", kind] = face_parts.remainder(image, four.values())
        return pieces


class APDrawing(Layout):
    """Four rectangles; where the label map is known also hair and background.

    Hair is the person outside the four rectangles, background everything that is no person (label 0); both are whole
    pictures, black (0) elsewhere, photos and drawings alike: what the networks of APDrawingGAN take.
    """

    name = "apdrawing"
    centres = ("landmarks", "fixed")
    frame: ClassVar[Frame] = "apdrawing"

    def windows(self, subject: Subject, centre: str) -> dict[str, Window]:
        points = _landmarks(subject) if centre == "landmarks" else _template(subject.size)
        windows = face_parts.apdrawing_windows(points, size=subject.size)
        if subject.labels is not None:
            windows |= dict.fromkeys(("hair", "background"), Window(0, 0, subject.size, subject.size))
        return windows

    def cut(self, subject: Subject, windows: Mapping[str, Window]) -> dict[tuple[str, str], np.ndarray]:
        four = {part: windows[part] for part in face_parts.APDRAWING_PARTS}
        pieces: dict[tuple[str, str], np.ndarray] = {}
        for kind, image in subject.images.items():
            pieces |= {(part, kind): face_parts.crop(image, window) for part, window in four.items()}
            if subject.labels is not None:
                person = subject.labels > 0
                pieces["hair", kind] = _keep(image, person & face_parts.outside(image.shape, four.values()), 0)
                pieces["background", kind] = _keep(image, ~person, 0)
        return pieces


class MaskGuided(Layout):
    """Three rectangles centred on their labels, skin and hair masked, and the map of Helen's eleven labels.

    Outside skin and hair photos are black (0) and sketches white (255).  The map is the part ``frame`` of the kind
    ``labels``.
    """

    name = "mask-guided"
    centres = ("mask",)
    needs_labels = True

    def windows(self, subject: Subject, centre: str) -> dict[str, Window]:
        return helen_labels.mask_windows(_helen(subject)) | {"frame": Window(0, 0, subject.size, subject.size)}

    def cut(self, subject: Subject, windows: Mapping[str, Window]) -> dict[tuple[str, str], np.ndarray]:
        labels = _helen(subject)
        pieces: dict[tuple[str, str], np.ndarray] = {}
        for kind, image in subject.images.items():
            for part in helen_labels.MASK_GUIDED_PARTS:
                if part in ("skin", "hair"):
                    fill = 255 if kind == "sketch" else 0
                    pieces[part, kind] = _keep(image, helen_labels.region(labels, part), fill)
                else:
                    pieces[part, kind] = face_parts.crop(image, windows[part])
        pieces["frame", "labels"] = labels
        return pieces


LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (DeepFaceDrawing(), APDrawing(), MaskGuided())}


def _landmarks(subject: Subject) -> np.ndarray:
    if subject.landmarks is None:
        raise SampleError("no-landmarks", "the windows follow the landmarks, and this picture has none")
    return subject.landmarks


def _template(size: int) -> np.ndarray:
    """The five points of APDrawing's template in a frame of `size` pixels."""
    return (align.APDRAWING_POINTS + 0.5) * (size / 512) - 0.5


def _helen(subject: Subject) -> np.ndarray:
    if subject.labels is None:
        raise SampleError("no-labels", "the windows follow the label map, and this picture has none")
    try:
        return helen_labels.helen_labels(subject.labels)
    except ValueError as error:
        raise SampleError("labels", str(error)) from None


def _keep(image: np.ndarray, mask: np.ndarray, fill: int) -> np.ndarray:
    """A copy in which everything outside the mask has the value `fill`."""
    result = image.copy()
    result[~mask] = fill
    return result
