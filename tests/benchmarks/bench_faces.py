"""Faces by dlib and by MediaPipe: recall on photos as they are and made worse, what is wrongly taken, and time.

    python tests/benchmarks/bench_faces.py FOLDER… [--most 100]

Prints a Markdown table for each folder of photos with one face each.  Times are processor time of this process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sketchprep.sketching.landmarks import Box, Landmarker, open_landmarker
from sketchprep.sketching.mediapipe import MediaPipeLandmarker, box_of, open_mediapipe

SMALL = 48  # pixels of the smallest face

Change = Callable[[np.ndarray, Box], np.ndarray]


def shrunk(photo: np.ndarray, face: Box) -> np.ndarray:
    scale = SMALL / face.side
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    wide = np.full((max(400, small.shape[0]), max(600, small.shape[1]), 3), 127, np.uint8)
    wide[: small.shape[0], : small.shape[1]] = small
    return wide


def tilted(photo: np.ndarray, face: Box) -> np.ndarray:
    middle = ((face.left + face.right) / 2, (face.top + face.bottom) / 2)
    turn = cv2.getRotationMatrix2D(middle, 30, 1)
    return cv2.warpAffine(photo, turn, photo.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


CHANGES: dict[str, Change] = {
    "as they are": lambda photo, face: photo,
    "tilted by 30°": tilted,
    "at 0.15 of the light": lambda photo, face: (photo * 0.15).astype(np.uint8),
    "blurred by 4 % of the face": lambda photo, face: cv2.GaussianBlur(photo, (0, 0), 0.04 * face.side),
    f"face of {SMALL} px": shrunk,
    "on their side": lambda photo, face: np.ascontiguousarray(np.rot90(photo)),
    "upside down": lambda photo, face: np.ascontiguousarray(np.rot90(photo, 2)),
}


def upright(landmarker: MediaPipeLandmarker, photo: np.ndarray) -> tuple[int, int]:
    """Number of faces that stand upright, and of all."""
    faces = landmarker.meshes(photo).faces
    return sum(abs(mesh.roll) <= 45 for mesh in faces), len(faces)


def measure(dlib: Landmarker, mediapipe: MediaPipeLandmarker, paths: list[Path]) -> list[tuple[str, list[float]]]:
    """By change: photos in which dlib, and MediaPipe, take a face for upright; more than one; found at all; and ms."""
    sums = {name: np.zeros(7) for name in CHANGES}
    for path in paths:
        photo = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        meshes = mediapipe.meshes(photo)
        if not meshes.faces:
            continue
        for name, change in CHANGES.items():
            changed = change(photo, box_of(meshes.faces[0]))
            start = time.process_time()
            boxes = len(dlib.faces(changed))
            middle = time.process_time()
            standing, found = upright(mediapipe, changed)
            end = time.process_time()
            sums[name] += (boxes > 0, standing > 0, boxes > 1, found > 1, found > 0, middle - start, end - middle)
    count = len(paths)
    return [(name, [*(values[:5] / count), *(1000 * values[5:] / count)]) for name, values in sums.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--most", type=int, default=100, help="photos of each folder, spread evenly")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    dlib, mediapipe = open_landmarker(), open_mediapipe()
    dlib.load()
    mediapipe.load()
    for folder in options.folders:
        paths = sorted(folder.glob("*.jpg"))
        paths = paths[:: max(1, len(paths) // options.most)][: options.most]
        print(f"\n{folder.name}: {len(paths)} photos\n")
        print(
            "| photos | dlib, upright | MediaPipe, upright | dlib, several | MediaPipe, several | MediaPipe, any roll |"
        )
        print("|---|---|---|---|---|---|")
        for name, values in measure(dlib, mediapipe, paths):
            shares = " | ".join(f"{100 * value:.0f} %" for value in values[:5])
            print(f"| {name} | {shares} |  <!-- {values[5]:.0f} ms, {values[6]:.0f} ms -->", flush=True)


if __name__ == "__main__":
    main()
