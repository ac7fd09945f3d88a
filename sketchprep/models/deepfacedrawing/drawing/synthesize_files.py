"""Synthesize faces from picture files, drawings or photos: a face for each and a sheet of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files, images
from sketchprep.io.contact_sheet import contact_sheet, save_picture
from sketchprep.io.marks import mark
from sketchprep.models.deepfacedrawing.drawing import frame_check
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS
from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader
from sketchprep.models.deepfacedrawing.drawing.synthesizer import WB, Synthesizer, Wb, blank_parts
from sketchprep.records import Failure

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Drawn

__all__ = ["SHEET", "Synthesis", "check", "read_sketch", "synthesize_files"]

SHEET = "sheet.jpg"
SHADOW = ".shadow.png"
ROWS = 40  # on the sheet
TILE = 256
# What to try next, by what --align was.
REMEDIES = {"None": frame_check.REMEDY, "ink": "name five points with --align x,y,…", "face": "try --align ink"}


@dataclass
class Synthesis:
    """What came of a list of pictures.

    Attributes
    ----------
    faces : list of Path
    failures : list of Failure
        The pictures that could not be used.
    notes : list of (Path, str)
        What the user should know of a picture, for instance that it may not sit in the frame.
    sheet : Path or None
        Contact sheet of the first 40: sketch, what the model makes of it, face.
    """

    faces: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[tuple[Path, str]] = field(default_factory=list)
    sheet: Path | None = None


def synthesize_files(
    pictures: Sequence[Path],
    out: Path,
    *,
    synthesizer: Synthesizer,
    reader: SketchReader | None = None,
    wb: Wb = WB,
    k: int = NEIGHBOURS,
    batch: int = 8,
    shadow: bool = False,
) -> Synthesis:
    """Draw a face for each picture; write ``NAME.png``, ``NAME.shadow.png`` if wanted, and ``sheet.jpg``.

    Parameters
    ----------
    pictures : sequence of Path
        Drawings or photos; one that is named twice is drawn once.
    out : Path
        Folder for the results; two inputs of one name are refused before anything is written.
    synthesizer : Synthesizer
    reader : SketchReader, optional
        How pictures are brought to the frame.
    wb, k
        See `Synthesizer.synthesize`.
    batch : int
        Faces drawn at once.
    shadow : bool
        Write what the neighbours look like too, under the sketch; needs a bank.

    Returns
    -------
    Synthesis

    Raises
    ------
    UserError
        For two inputs of one name, a result that would overwrite its input, a wrong wb, k or batch, a missing bank, or
        a folder that cannot be written.
    """
    if batch < 1:
        raise UserError(f"--batch {batch}: must be at least 1")
    if shadow and synthesizer.bank is None:
        raise UserError("--shadow needs a bank; make one with `sketchprep bank --run RUN --data OUT`")
    # Whatever is wrong with wb, k or the bank is better said before the first picture.
    synthesizer.project_sketches(np.full((1, synthesizer.size, synthesizer.size), 255, np.uint8), wb=wb, k=k)
    pictures = list(dict.fromkeys(pictures))
    targets = dict(zip(pictures, files.targets(pictures, out), strict=True))
    shades = dict(zip(pictures, files.targets(pictures, out, suffix=SHADOW), strict=True))
    reader = reader or SketchReader(synthesizer.size)
    result = Synthesis()
    rows: list[list[np.ndarray]] = []
    for some in _batches(pictures, reader, batch, result):
        drawn = synthesizer.synthesize(np.stack([sketch for _, sketch in some]), wb=wb, k=k)
        result.notes += _place_notes(
            synthesizer, drawn, [path for path, _ in some], REMEDIES.get(str(reader.align), "")
        )
        extra = _shadows(synthesizer, drawn) if shadow else None
        redrawn = synthesizer.redraw(drawn.blended)
        for at, (path, sketch) in enumerate(some):
            row = [sketch, redrawn[at], drawn.faces[at], *([] if extra is None else [extra[at]])]
            try:
                files.write_named(images.encode_png(drawn.faces[at]), targets[path])
                if extra is not None:
                    files.write_named(mark(images.encode_png(extra[at])), shades[path])
            except SampleError as error:
                result.failures.append(_failure(path, error))
                continue
            result.faces.append(targets[path])
            rows += [row] if len(rows) < ROWS else []
    if rows:
        result.sheet = out / SHEET
        captions = ["sketch", "blended with the bank", "face", "shadow"][: len(rows[0])]
        save_picture(contact_sheet(rows, captions, tile=TILE), result.sheet)
    return result


def read_sketch(path: Path, reader: SketchReader) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read one picture into the frame: uint8 (size, size), and what the user should know of it.

    Raises
    ------
    SampleError
        If it cannot be used.
    """
    found = reader.read(images.decode_drawing(files.read(path)))
    return found.sketch, found.notes


def check(synthesizer: Synthesizer, drawn: Drawn, at: int, *, remedy: str = frame_check.REMEDY) -> str | None:
    """One sentence if drawing `at` of a batch does not seem to sit in the frame, with what to do; else None."""
    sketch = drawn.sketches[at]
    outliers: dict[str, float] = {}
    if synthesizer.bank is not None and drawn.projection is not None:
        stats = frame_check.reconstruction_stats(synthesizer.bank, drawn.projection.indices.shape[-1])
        if stats is not None:
            found = frame_check.residuals(drawn.codes, drawn.projection, stats)[at]
            outliers = frame_check.outlier_parts(found, stats, blank_parts(sketch))
    return frame_check.advice(frame_check.ink_fault(sketch), outliers, remedy=remedy)


def _batches(
    pictures: Sequence[Path], reader: SketchReader, batch: int, result: Synthesis
) -> Iterator[list[tuple[Path, np.ndarray]]]:
    ready: list[tuple[Path, np.ndarray]] = []
    for path in pictures:
        try:
            sketch, notes = read_sketch(path, reader)
        except SampleError as error:
            result.failures.append(_failure(path, error))
            continue
        result.notes += [(path, note) for note in notes]
        ready.append((path, sketch))
        if len(ready) == batch:
            yield ready
            ready = []
    if ready:
        yield ready


def _failure(path: Path, error: SampleError) -> Failure:
    return Failure(str(path), "file", "synthesize", error.kind, error.message, error.rejected)


def _place_notes(synthesizer: Synthesizer, drawn: Drawn, paths: list[Path], remedy: str) -> list[tuple[Path, str]]:
    found = ((path, check(synthesizer, drawn, at, remedy=remedy)) for at, path in enumerate(paths))
    return [(path, note) for path, note in found if note is not None]


def _shadows(synthesizer: Synthesizer, drawn: Drawn) -> list[np.ndarray]:
    from sketchprep.models.deepfacedrawing.drawing.shadow import shadows, under

    projection = drawn.projection or synthesizer.project(drawn.codes)
    return [
        under(shade, sketch) for shade, sketch in zip(shadows(synthesizer, projection), drawn.sketches, strict=True)
    ]
