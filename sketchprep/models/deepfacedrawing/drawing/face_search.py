"""Search of a drawing for a face: correlation with the bank's mean face, and distance of the parts from the bank.

Both look at eyes, nose and mouth alone: hair, neck, clothes and what else is drawn have no say.  The correlation finds
a face anywhere on a page, since its basin is as wide as a feature; the distance tells good places from better ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sketchprep.ops.face_parts import PARTS, outside, windows
from sketchprep.ops.ink import broaden, ink_box
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import warp

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["LINE_512", "FaceSearch", "rescaled", "scale_of"]

# Lines of the recipes' sketches are 3.5 to 4.5 px broad at 512; finer ones would turn pale in a small frame.
LINE_512 = 4.0
INNER = [at for at, part in enumerate(PARTS) if part != "remainder"]
COARSE = 64  # px of the frame that a page is searched at
BLUR = 1 / 80  # of the frame: lines and their likes overlap
# Sides of the frame by those of the ink's box, and turns in degrees: steps are half as wide as the correlation's basin.
SIDES, TURNS = np.geomspace(0.7, 2.0, 14), np.arange(-30, 30.1, 7.5)
# First steps to the right, down, in scale and in radians; how much finer each round is, and how many there are.
STEPS, FINER = np.array([1 / 64, 1 / 64, 0.05, 0.05]), 0.65
CORRELATION_ROUNDS, DISTANCE_ROUNDS = 6, 3
PIVOT = 0.55  # the face's middle, as shares of the frame's height; across it is the frame's middle
FAR_WEIGHT = 0.5  # of the distance, against the correlation
BLANK_FAR = 2.0  # distance of a part that is not drawn, in units of the bank's spread


class FaceSearch:
    """Looks for faces as a bank knows them.

    Parameters
    ----------
    synthesizer : Synthesizer
        With a bank.
    """

    def __init__(self, synthesizer: Synthesizer) -> None:
        assert synthesizer.bank is not None
        self.synthesizer, self.size = synthesizer, synthesizer.size
        codes = synthesizer.bank.codes
        if synthesizer.bank.members is not None:
            codes = codes[synthesizer.bank.members]
        mean = codes.mean(0, keepdim=True)
        self._spread = (codes - mean).norm(dim=-1).mean(0).numpy()[INNER]
        inner = [window for part, window in windows(self.size).items() if part != "remainder"]
        self._looked_at = (~outside((self.size, self.size), inner)).astype(np.float32)
        self._face = _ink(synthesizer.redraw(mean)[0])

    def frame(self, page: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """A page (H, W) as the model sees it, by a matrix to its frame: uint8, shape (size, size)."""
        ready = broaden(page, LINE_512 * self.size / 512 / scale_of(matrix))
        return warp(ready, matrix, self.size, border="white")

    def likeness(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """How much like a face of the bank eyes, nose and mouth of sketches (size, size) are: float64, higher is more.

        Their correlation with the mean face, less half the mean distance of their codes from the bank's nearest.
        """
        from sketchprep.models.deepfacedrawing.drawing.frame_check import distances
        from sketchprep.models.deepfacedrawing.drawing.synthesizer import blank_parts

        assert self.synthesizer.bank is not None
        codes = self.synthesizer.encode(np.stack(frames))
        far = distances(self.synthesizer.bank, codes, self.synthesizer.project(codes, k=1))[:, INNER] / self._spread
        # A part that is drawn at one place and falls beside its window at another must not make that the better one.
        far[np.stack([blank_parts(sketch) for sketch in frames])[:, INNER]] = BLANK_FAR
        return self._correlations(frames) - FAR_WEIGHT * far.mean(axis=1)

    def find(self, page: np.ndarray) -> np.ndarray:
        """Find the likeliest face on a page: the matrix (2, 3) from its pixels to those of the frame.

        Parameters
        ----------
        page : ndarray of uint8, shape (H, W)
            Black on white; with ink on it.
        """
        return self.refine(page, self._coarse(page), self._correlations, CORRELATION_ROUNDS)

    def settle(self, page: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Improve a good place by what the bank knows of each part."""
        return self.refine(page, matrix, self.likeness, DISTANCE_ROUNDS)

    def refine(
        self, page: np.ndarray, matrix: np.ndarray, score: Callable[[Sequence[np.ndarray]], np.ndarray], rounds: int
    ) -> np.ndarray:
        """Climb to the best place nearby: by parabolas through a score at both sides of each of four parameters."""
        ready = broaden(page, LINE_512 * self.size / 512 / scale_of(matrix))

        def scores(places: Sequence[np.ndarray]) -> np.ndarray:
            moved = [self._nudged(matrix, place) for place in places]
            return score([warp(ready, one, self.size, border="white") for one in moved])

        at, steps = np.zeros(4), STEPS * [self.size, self.size, 1, 1]
        best = scores([at])[0]
        for _ in range(rounds):
            sides = [at + sign * step for step in np.diag(steps) for sign in (-1, 1)]
            found = scores(sides)
            low, high = found.reshape(4, 2).T
            bend = 2 * best - low - high
            slope = (high - low) / 2
            whole = np.where(bend > 1e-6, slope / np.maximum(bend, 1e-6), np.sign(slope)).clip(-1, 1) * steps
            tried = [*sides, at + whole, at + whole / 2]
            found = np.append(found, scores(tried[-2:]))
            if found.max() > best:
                at, best = tried[int(found.argmax())], found.max()
            steps = steps * FINER
        return self._nudged(matrix, at)

    def _coarse(self, page: np.ndarray) -> np.ndarray:
        """The best place on a grid of scales and turns, all shifts at each: masked normalised cross-correlation."""
        shape = (COARSE, COARSE)
        mask = resize((255 * self._looked_at).astype(np.uint8), shape) > 127
        rows, columns = (slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(mask))
        small = cv2.resize(self._face, shape, interpolation=cv2.INTER_AREA)
        face = _blurred(small, COARSE)[rows, columns]
        weight = mask[rows, columns].astype(np.float32)
        x0, y0, x1, y1 = ink_box(page)
        middle, side = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), max(x1 - x0, y1 - y0, 8.0)
        best, found = -np.inf, np.zeros((2, 3))
        for share, turn in product(SIDES, np.radians(TURNS)):
            extent = round(1.3 * COARSE / share) + max(face.shape)
            matrix = _similarity(COARSE / (side * share), turn, middle, np.full(2, extent / 2))
            there = _blurred(_ink(warp(page, matrix, extent, border="white")), COARSE)
            map_ = cv2.matchTemplate(there, face, cv2.TM_CCOEFF_NORMED, mask=weight)
            map_[~(np.abs(map_) <= 1)] = -1  # where there is no ink
            _, value, _, (x, y) = cv2.minMaxLoc(map_)
            if value > best:
                best, found = value, matrix.copy()
                found[:, 2] += columns.start - x, rows.start - y
        return rescaled(found, self.size / COARSE)

    def _correlations(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        weight = self._looked_at / self._looked_at.sum()
        face = _centred(_blurred(self._face, self.size), weight)
        found = []
        for frame in frames:
            there = _centred(_blurred(_ink(frame), self.size), weight)
            both = (face**2 * weight).sum() * (there**2 * weight).sum()
            found.append(float((face * there * weight).sum()) / float(np.sqrt(both + 1e-12)))
        return np.array(found)

    def _nudged(self, matrix: np.ndarray, by: np.ndarray) -> np.ndarray:
        """A matrix followed by a small similarity about the face's middle: right, down, log scale, radians."""
        pivot = np.array([0.5, PIVOT]) * self.size
        after = _similarity(float(np.exp(by[2])), float(by[3]), pivot, pivot + by[:2])
        return np.vstack([after, [0, 0, 1]])[:2] @ np.vstack([matrix, [0, 0, 1]])


def scale_of(matrix: np.ndarray) -> float:
    """How many times longer a similarity (2, 3) makes lines."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def rescaled(matrix: np.ndarray, factor: float) -> np.ndarray:
    """A matrix (2, 3) to a frame, for the frame at another size; pixels are squares around their coordinates."""
    return matrix * factor + [[0, 0, (factor - 1) / 2]] * 2


def _similarity(scale: float, turn: float, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([linear, target - linear @ source])


def _ink(sketch: np.ndarray) -> np.ndarray:
    return (255 - sketch).astype(np.float32) / 255


def _blurred(ink: np.ndarray, size: int) -> np.ndarray:
    return cv2.GaussianBlur(ink, (0, 0), BLUR * size)


def _centred(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return values - (values * weight).sum()
