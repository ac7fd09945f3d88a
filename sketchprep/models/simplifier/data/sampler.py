"""Random access to pairs of a rough and a clean drawing: a pure function of seed and index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from sketchprep.errors import UserError
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.models.simplifier.data import photocopies
from sketchprep.models.simplifier.data import portraits as store
from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.models.simplifier.data.random_drawings import random_drawing
from sketchprep.models.simplifier.data.roughen import photographed, roughen
from sketchprep.models.simplifier.data.scenes import random_scene, visible
from sketchprep.models.simplifier.data.strokes import Stroke
from sketchprep.models.simplifier.data.visibility import hidden
from sketchprep.ops.noise import affine

__all__ = ["LINE_WIDTH", "Mix", "PairSampler", "pair_of_scene", "pair_sheet"]

LINE_WIDTH = 2.0
"""Pen of every clean drawing in pixels."""

_SMALLEST = 32
_UNSEEN = 0.5
_SMALLEST_DRAWING = 0.55  # of the picture's side


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the kinds of pairs; they need not add up to 1.

    Attributes
    ----------
    photocopies : float
        Photocopies (and some edge maps) of portraits beside the teacher's lines.
    teacher_lines : float
        The teacher's lines, roughened.
    curves : float
        Random drawings, roughened.
    line_art : float
        SVG line art, roughened, photocopied or as drawn.
    scenes : float
        Photocopies of painted scenes beside their outlines.
    """

    photocopies: float = 0.54
    teacher_lines: float = 0.1
    curves: float = 0.13
    line_art: float = 0.11
    scenes: float = 0.12

    @classmethod
    def named(cls, name: str) -> Mix:
        """``"full"``, or for ablations ``"no-synthetic"`` or ``"no-teacher"``.

        Raises
        ------
        UserError
            For another name.
        """
        mixes = {
            "full": cls(),
            "no-synthetic": cls(curves=0, line_art=0, scenes=0),
            "no-teacher": cls(photocopies=0, teacher_lines=0),
        }
        if name not in mixes:
            raise UserError(f"mix {name!r} is unknown; use one of {', '.join(mixes)}")
        return mixes[name]

    @property
    def shares(self) -> dict[str, float]:
        """Name of each kind and its share, adding up to 1."""
        values = {item.name: float(getattr(self, item.name)) for item in fields(self)}
        total = sum(values.values())
        if not total > 0 or min(values.values()) < 0:
            raise UserError(f"mix: the shares must be at least 0 and not all 0, not {values}")
        return {name: value / total for name, value in values.items()}


class PairSampler:
    """Makes pairs; picklable, it reads its files in each process on first use.

    Parameters
    ----------
    seed : int
        At least 0.
    size : int
        Side of the pictures in pixels, at least 32.
    mix : Mix
    cache : path or None
        Filled by :func:`sketchprep.models.simplifier.data.portraits.prepare`; needed unless the mix does without
        portraits.
    line_art : path or None
        Folder of SVG files; None for the bundled ones.
    held_out : bool
        Draw from the portraits and the line art that training never sees.
    weights : bool
        Give pixels of faces more weight.
    """

    def __init__(
        self,
        seed: int,
        *,
        size: int = 256,
        mix: Mix | None = None,
        cache: str | Path | None = None,
        line_art: str | Path | None = None,
        held_out: bool = False,
        weights: bool = True,
    ) -> None:
        if size < _SMALLEST:
            raise UserError(f"size {size}: must be at least {_SMALLEST}")
        if seed < 0:
            raise UserError(f"seed {seed}: must be at least 0")
        self.seed, self.size, self.weights, self.held_out = seed, size, weights, held_out
        self.shares = (mix or Mix()).shares
        self.cache, self.line_art = cache, line_art
        needs = self.shares["photocopies"] + self.shares["teacher_lines"] > 0
        if needs and cache is None:
            raise UserError("cache: missing; prepare one from portraits, or take the mix no-teacher")
        self._portraits: list[store.Portrait] | None = None
        self._art: list[Path] | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_portraits": None, "_art": None}

    @property
    def portraits(self) -> list[store.Portrait]:
        """The portraits drawn from."""
        if self._portraits is None:
            self._portraits = store.open_portraits(self.cache or "", held_out=self.held_out)
        return self._portraits

    @property
    def art(self) -> list[Path]:
        """The SVG files drawn from."""
        if self._art is None:
            self._art = store.open_art(self.line_art, held_out=self.held_out)
        return self._art

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pair of that number, always the same.

        Parameters
        ----------
        index : int
            At least 0.

        Returns
        -------
        rough : ndarray, (size, size) uint8
            Dark ink on light paper.
        clean : ndarray, (size, size) uint8
            Black lines two pixels wide on white.
        weight : ndarray, (size, size) float32
            How much each pixel counts: at least 1, and half of that around lines of which the rough picture shows
            nothing.
        """
        rng = np.random.default_rng([self.seed, index, int(self.held_out)])
        kind = str(rng.choice(list(self.shares), p=list(self.shares.values())))
        rough, strokes, landmarks = getattr(self, f"_{kind}")(rng)
        clean = 255 - vector.render(strokes, (self.size, self.size), width=LINE_WIDTH)
        weight = np.ones((self.size, self.size), np.float32)
        if landmarks is not None and self.weights:
            weight = photocopies.face_weight(landmarks, self.size)
        weight[hidden(rough, clean)] *= _UNSEEN
        return rough, clean, weight

    def batch(self, indices: Iterable[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Several pairs, stacked: (B, size, size) each."""
        rough, clean, weight = zip(*(self.pair(int(i)) for i in indices), strict=True)
        return np.stack(rough), np.stack(clean), np.stack(weight)

    def _photocopies(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Stroke], np.ndarray]:
        return photocopies.photocopied(self.portraits[int(rng.integers(len(self.portraits)))], rng, self.size)

    def _teacher_lines(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Stroke], np.ndarray]:
        portrait = self.portraits[int(rng.integers(len(self.portraits)))]
        matrix = photocopies.place(portrait.landmarks, rng, self.size)
        strokes = _within(vector.transform(portrait.strokes, matrix), self.size)
        return roughen(strokes, rng, self.size), strokes, portrait.landmarks @ matrix[:, :2].T + matrix[:, 2]

    def _curves(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Stroke], None]:
        side = int(self.size * rng.uniform(_SMALLEST_DRAWING, 1.0))  # small drawings are as dense as large ones
        place = rng.uniform(0, self.size - side, 2).astype(np.float32)
        strokes = _within([stroke + place for stroke in random_drawing(rng, side)], self.size)
        return roughen(strokes, rng, self.size), strokes, None

    def _scenes(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Stroke], None]:
        rough, strokes = pair_of_scene(rng, self.size)
        return photographed(rough, rng, strength=0.4), strokes, None

    def _line_art(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Stroke], None]:
        art = store.art_of(self.art[int(rng.integers(len(self.art)))])
        points = np.concatenate(art.strokes) if art.strokes else np.full((1, 2), 256.0)
        scale = float(np.exp(rng.uniform(np.log(0.45), np.log(1.5)))) * self.size / 320
        matrix = affine(
            rng, points[int(rng.integers(len(points)))], size=self.size, scale=scale, turn=60, shift=0.35 * self.size
        )
        strokes = _within(vector.transform(art.strokes, matrix), self.size)
        how = rng.random()
        if how < 0.6:
            return roughen(strokes, rng, self.size), strokes, None
        drawn = cv2.warpAffine(cv2.GaussianBlur(art.picture, (0, 0), max(0.3, 0.5 / scale)), matrix,
                               (self.size, self.size), borderValue=255.0)  # fmt: skip
        if how < 0.8:
            drawn = photocopies.copy_of(np.clip(drawn.astype(np.int16), 25, 245).astype(np.uint8), rng)
        return photographed(drawn, rng), strokes, None


def pair_of_scene(rng: np.random.Generator, size: int) -> tuple[np.ndarray, list[Stroke]]:
    """A painted scene through the photocopier, and its outlines as far as the copy shows them."""
    margin = 16
    picture, outlines = random_scene(rng, size + 2 * margin)
    rough = photocopies.copy_of(picture, rng)[margin:-margin, margin:-margin]
    return np.ascontiguousarray(rough), visible([outline - np.float32(margin) for outline in outlines], rough)


def _within(strokes: list[Stroke], size: int) -> list[Stroke]:
    """Strokes that touch the picture."""
    return [s for s in strokes if (s.max(0) >= 0).all() and (s.min(0) < size).all()]


def pair_sheet(sampler: PairSampler, indices: Sequence[int], *, columns: int = 4) -> np.ndarray:
    """Contact sheet of pairs, rough and clean side by side.

    Parameters
    ----------
    sampler : PairSampler
    indices : sequence of int
    columns : int
        Pairs in a row.

    Returns
    -------
    ndarray, (H, W, 3) uint8
        RGB, for :func:`sketchprep.io.contact_sheet.save_picture`.
    """
    blank = np.full((sampler.size, sampler.size), 255, np.uint8)
    pictures = [picture for index in indices for picture in sampler.pair(index)[:2]]
    pictures += [blank] * (-len(pictures) % (2 * columns))
    rows = [pictures[i : i + 2 * columns] for i in range(0, len(pictures), 2 * columns)]
    return contact_sheet(rows, ["rough", "clean"] * columns, tile=sampler.size)
