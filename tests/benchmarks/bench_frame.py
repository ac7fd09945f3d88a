"""How often a drawing is told that it does not sit in the frame: held-out sketches as they are, moved, turned, resized.

python tests/benchmarks/bench_frame.py --data out/faces [--run RUN] [--split test] [--limit 180]

A sketch is moved in one of eight directions in turn and turned to the left and to the right in turn, paper filling what
becomes free.  Lengths are pixels of 512.  Of sketches as they are, every one that is told is a false alarm.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import cv2
import numpy as np

from sketchprep.evaluation.subject import BATCH, EvaluationConfig
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS
from sketchprep.models.deepfacedrawing.drawing.synthesize_files import check
from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer
from sketchprep.models.deepfacedrawing.evaluate import ModelFiles, open_subject

Move = Callable[[int, int], np.ndarray]


def shifted(pixels: float) -> Move:
    """Move number of a sketch of a size: to the right, down and right, down, …."""

    def matrix(number: int, size: int) -> np.ndarray:
        angle = np.pi / 4 * (number % 8)
        length = pixels * size / 512
        return np.array([[1, 0, length * np.cos(angle)], [0, 1, length * np.sin(angle)]])

    return matrix


def turned(degrees: float, scale: float = 1.0) -> Move:
    """Turn about the middle, every other one the other way, and resize."""

    def matrix(number: int, size: int) -> np.ndarray:
        middle = (size - 1) / 2
        return cv2.getRotationMatrix2D((middle, middle), degrees * (-1) ** number, scale)

    return matrix


CHANGES: dict[str, Move] = {
    "as they are": shifted(0),
    "moved by 20 px": shifted(20),
    "moved by 40 px": shifted(40),
    "turned by 15°": turned(15),
    "turned by 30°": turned(30),
    "at 0.8 of their size": turned(0, 0.8),
    "at 0.6 of their size": turned(0, 0.6),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--run", help="default: the bundled model")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=180)
    options = parser.parse_args()
    synthesizer = open_synthesizer(options.run)
    config = EvaluationConfig(options.data, split=options.split, limit=options.limit)
    pairs = open_subject(config, ModelFiles(options.run), wbs=(), k=NEIGHBOURS).pairs
    sketches = np.stack([pairs[at].sketch for at in range(len(pairs))])
    print(f"| {len(sketches)} sketches | told to be out of place |\n|---|---|")
    for name, change in CHANGES.items():
        moved = np.stack([_moved(sketch, change(at, len(sketch))) for at, sketch in enumerate(sketches)])
        told = 0
        for first in range(0, len(moved), BATCH):
            drawn = synthesizer.synthesize(moved[first : first + BATCH])
            told += sum(check(synthesizer, drawn, at) is not None for at in range(len(drawn.sketches)))
        print(f"| {name} | {told / len(moved):.0%} |", flush=True)


def _moved(sketch: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    size = (sketch.shape[1], sketch.shape[0])
    return cv2.warpAffine(sketch, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_CONSTANT, borderValue=255)


if __name__ == "__main__":
    main()
