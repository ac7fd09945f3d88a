"""Makes docs/images/faces.jpg: sketches of people the model never saw, bundled drawings, and the face of each.

    python docs/images/faces.py PORTRAITS [--run RUN] [--without NAME,NAME,…] [-o docs/images/faces.jpg]

PORTRAITS is a folder of CC0 photos.  Sixteen of those that a dataset's recipe would keep (one face, turned by at most
20°) are drawn by lot; photos with hats or headscarves, which the training data had not, are left out by name.
Nothing is chosen by its result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sketchprep.core.resources import PACKAGE
from sketchprep.io import images
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.models.deepfacedrawing.drawing import pretrained
from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer, open_synthesizer
from sketchprep.ops.pose import estimate_pose
from sketchprep.sketching.sketcher import face_recipe, face_sketcher

PAIRS, TILE, MOST_TURN = 4, 132, 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("portraits", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--without", default="")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wb", type=float)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".jpg"))
    words = parser.parse_args()
    synthesizer = open_synthesizer(pretrained.choose(words.run, None, say=print), device="cpu")
    names, sketches = of_portraits(words, synthesizer)
    print(" ".join(names))
    reader = SketchReader(synthesizer.size)
    drawings = [images.decode(path.read_bytes()) for path in sorted((PACKAGE / "data/sketches").glob("*.png"))]
    sketches += [reader.read(drawing).sketch for drawing in drawings]
    wb = {} if words.wb is None else {"wb": words.wb}
    faces = synthesizer.synthesize(np.stack(sketches), **wb).faces
    cells = [picture for pair in zip(sketches, faces, strict=True) for picture in pair]
    rows = [cells[at : at + 2 * PAIRS] for at in range(0, len(cells), 2 * PAIRS)]
    rows[-1] += [np.full_like(faces[0], 255)] * (2 * PAIRS - len(rows[-1]))
    sheet = contact_sheet(rows, ["sketch", "face"] * PAIRS, tile=TILE)
    words.out.write_bytes(images.encode_jpeg(sheet, quality=88))
    print(f"{words.out}: {sheet.shape[1]} × {sheet.shape[0]} px, {words.out.stat().st_size:,} bytes")


def of_portraits(words: argparse.Namespace, synthesizer: Synthesizer) -> tuple[list[str], list[np.ndarray]]:
    """Names and sketches of as many portraits as are wanted, none of them bundled, in alphabetical order."""
    assert synthesizer.bank is not None
    sketcher = face_sketcher(face_recipe(synthesizer.bank.facts))
    left_out = {path.stem for path in (PACKAGE / "data/portraits").glob("*.jpg")} | set(words.without.split(","))
    paths = [path for path in sorted(words.portraits.glob("*.jpg")) if path.stem not in left_out]
    found: dict[str, np.ndarray] = {}
    for at in np.random.default_rng(words.seed).permutation(len(paths)):
        photo = images.decode(paths[at].read_bytes())
        points = sketcher.landmarks(photo)
        if points is None or np.abs(estimate_pose(points)[:3]).max() > MOST_TURN:
            continue
        found[paths[at].stem] = sketcher.sketch_face(photo, points, synthesizer.size)[0]
        if len(found) == words.count:
            break
    names = sorted(found)
    return names, [found[name] for name in names]


if __name__ == "__main__":
    main()
