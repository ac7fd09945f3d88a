"""Makes docs/images/bank.jpg: what K and a split of the bank do to bundled drawings.

    python docs/images/bank.py [--run RUN] [--drawings NAME NAME …] [-o docs/images/bank.jpg]

Each drawing has two lines: what its codes, projected on the bank (wb 0), stand for, and the face of them.  The bank
must know the attribute Male, as one of CelebAMask-HQ does.
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

NEIGHBOURS = (3, 10, 30)
SPLITS = {"women": "Male=0", "men": "Male=1"}
TILE = 144


def drawing(name: str, synthesizer: Synthesizer) -> np.ndarray:
    """A bundled freehand drawing in the model's frame."""
    picture = images.decode((PACKAGE / f"data/sketches/{name}.png").read_bytes())
    return SketchReader(synthesizer.size, kind="sketch").read(picture).sketch


def lines(synthesizer: Synthesizer, sketch: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two lines of pictures: sketches and faces, with the drawing before them and the face of it alone (wb 1)."""
    assert synthesizer.bank is not None
    ways = [(synthesizer, k) for k in NEIGHBOURS]
    ways += [(Synthesizer(synthesizer.model, synthesizer.bank.split(split)), 10) for split in SPLITS.values()]
    drawn = [each.synthesize(sketch[None], wb=0, k=k) for each, k in ways]
    above = [synthesizer.redraw(some.blended)[0] for some in drawn]
    alone = synthesizer.synthesize(sketch[None], wb=1)
    return [sketch, *above], [some.faces[0] for some in (alone, *drawn)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--drawings", nargs="+", default=["woman-fringe", "man-smile", "rough"])
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".jpg"))
    words = parser.parse_args()
    synthesizer = open_synthesizer(pretrained.choose(words.run, None, say=print), device="cpu")
    rows = [row for name in words.drawings for row in lines(synthesizer, drawing(name, synthesizer))]
    captions = ["drawn (wb 1)", *(f"K = {k}" for k in NEIGHBOURS), *SPLITS]
    sheet = contact_sheet(rows, captions, tile=TILE)
    words.out.write_bytes(images.encode_jpeg(sheet, quality=88))
    print(f"{words.out}: {sheet.shape[1]} × {sheet.shape[0]} px, {words.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
