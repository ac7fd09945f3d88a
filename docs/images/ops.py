"""Makes docs/images/ops.jpg: a bundled portrait drawn by each op that recipes can name.

python docs/images/ops.py [--portrait female-13] [-o docs/images/ops.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sketchprep.core.resources import resource
from sketchprep.io import images
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.ops.align import align
from sketchprep.ops.warp import transform_points
from sketchprep.sketching.recipe import Stage
from sketchprep.sketching.sketcher import Sketcher

TILE = 196
GRAPH = {
    "hed": Stage(op="hed"),
    "canny": Stage(op="canny"),
    "photocopy": Stage(op="photocopy"),
    "clean": Stage(op="clean", input="photocopy"),
    "lines": Stage(op="lines"),
    "simplify": Stage(op="simplify", input="photocopy"),
    "tidy": Stage(op="tidy", input="simplify"),
    "complete": Stage(op="complete", input="tidy"),
    "two_tone": Stage(op="two_tone"),
    "jawline": Stage(op="jawline", input="two_tone"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portrait", default="female-13")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".jpg"))
    words = parser.parse_args()
    sketcher = Sketcher(graph=GRAPH, device="cpu")
    photo = images.decode((resource("data/portraits") / f"{words.portrait}.jpg").read_bytes())
    points = sketcher.landmarks(photo)
    assert points is not None, f"{words.portrait}: no face was found"
    aligned = align(photo, points, size=512)
    (drawn,) = sketcher.run([{"photo": aligned.image}], [transform_points(aligned.matrix, points)])
    lines = [list(GRAPH)[:5], list(GRAPH)[5:]]
    sheets = [contact_sheet([[drawn[name] for name in names]], names, tile=TILE) for names in lines]
    sheet = np.concatenate(sheets)
    words.out.write_bytes(images.encode_jpeg(sheet, quality=85))
    print(f"{words.out}: {sheet.shape[1]} × {sheet.shape[0]} px, {words.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
