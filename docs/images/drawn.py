"""Makes docs/images/drawn.jpg: bundled drawings, their projection on the bank, and faces at several wb.

python docs/images/drawn.py [--run RUN] [--drawings NAME NAME …] [-o docs/images/drawn.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bank import TILE, drawing

from sketchprep.io import images
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.models.deepfacedrawing.drawing import pretrained
from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer

WEIGHTS = (0.0, 0.3, 0.6, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--drawings", nargs="+", default=["woman-fringe", "man-smile", "rough", "woman-wavy-hair"])
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".jpg"))
    words = parser.parse_args()
    synthesizer = open_synthesizer(pretrained.choose(words.run, None, say=print), device="cpu")
    rows = []
    for name in words.drawings:
        sketch = drawing(name, synthesizer)
        drawn = [synthesizer.synthesize(sketch[None], wb=wb) for wb in WEIGHTS]
        rows.append([sketch, synthesizer.redraw(drawn[0].blended)[0], *(some.faces[0] for some in drawn)])
    sheet = contact_sheet(rows, ["drawing", "projected", *(f"wb {wb:g}" for wb in WEIGHTS)], tile=TILE)
    words.out.write_bytes(images.encode_jpeg(sheet, quality=88))
    print(f"{words.out}: {sheet.shape[1]} × {sheet.shape[0]} px, {words.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
