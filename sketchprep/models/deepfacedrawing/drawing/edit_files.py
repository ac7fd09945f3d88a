"""Morph, copy-paste and interpolate picture files: frames, a strip, an animated GIF, a sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files
from sketchprep.io import images as imageio
from sketchprep.io.contact_sheet import contact_sheet, save_picture
from sketchprep.io.marks import mark
from sketchprep.models.deepfacedrawing.drawing import editing
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS
from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader
from sketchprep.models.deepfacedrawing.drawing.synthesize_files import read_sketch
from sketchprep.models.deepfacedrawing.drawing.synthesizer import WB, Synthesizer, Wb

__all__ = ["Made", "copy_paste_files", "gif", "interpolate_bank", "morph_files"]

MILLISECONDS = 80
HOLD = 600  # at both ends of an animation
STRIP = 9  # faces on a strip at most


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes
    ----------
    files : list of Path
        The picture to look at first.
    notes : tuple of str
        What the user should know.
    """

    files: list[Path]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Describe it in a few lines."""
        more = f" and {len(self.files) - 1} more files beside it" if len(self.files) > 1 else ""
        return "\n".join([f"{self.files[0]}{more}", *self.notes])


def morph_files(
    first: Path,
    last: Path,
    out: Path,
    *,
    synthesizer: Synthesizer,
    reader: SketchReader | None = None,
    frames: int = 25,
    wb: Wb = WB,
    k: int = NEIGHBOURS,
) -> Made:
    """Morph one picture's face into another's; write ``strip.jpg``, ``morph.gif`` and ``frame-NNN.png``.

    Parameters
    ----------
    first, last : Path
        Drawings or photos.
    out : Path
        Folder.
    synthesizer : Synthesizer
    reader : SketchReader, optional
    frames : int
        With both ends.
    wb, k
        See `Synthesizer.synthesize`.

    Raises
    ------
    UserError
        If a picture cannot be used, or as `editing.morph`.
    """
    reader = reader or SketchReader(synthesizer.size)
    (a, b), notes = _read([first, last], reader)
    found = editing.morph(synthesizer, a, b, frames=frames, wb=wb, k=k)
    return Made(_write_frames(found, out, "morph"), notes)


def interpolate_bank(
    first: str, last: str, out: Path, *, synthesizer: Synthesizer, frames: int = 25, k: int = NEIGHBOURS
) -> Made:
    """Walk between two faces of the bank; write ``strip.jpg``, ``interpolate.gif`` and ``frame-NNN.png``.

    Parameters
    ----------
    first, last : str
        Ids of faces in the bank.
    out : Path
        Folder.
    synthesizer, frames, k
        See `editing.interpolate`.

    Raises
    ------
    UserError
        As `editing.interpolate`.
    """
    found = editing.interpolate(synthesizer, first, last, frames=frames, k=k)
    notes = []
    if found.distance is not None:
        ends, middle = found.distance[[0, -1]].mean(), found.distance[len(found.distance) // 2]
        notes.append(
            f"distance from the other faces of the bank, in medians of held-out sketches: {ends:.2f} at the ends, "
            f"{middle:.2f} half way"
        )
    return Made(_write_frames(found, out, "interpolate"), tuple(notes))


def copy_paste_files(
    base: Path,
    parts: Mapping[str, Path],
    out: Path,
    *,
    synthesizer: Synthesizer,
    reader: SketchReader | None = None,
    wb: Wb = WB,
    k: int = NEIGHBOURS,
) -> Made:
    """Draw one face with parts of several pictures; write ``face.png``, ``sketch.png`` and ``sheet.jpg``.

    Parameters
    ----------
    base : Path
        Gives every part that is not named.
    parts : mapping of str to Path
        Part, and the picture it is taken from.
    out : Path
        Folder.
    synthesizer, reader, wb, k
        See `editing.copy_paste`.

    Raises
    ------
    UserError
        If a picture cannot be used, no part is named, or as `editing.copy_paste`.
    """
    if not parts:
        raise UserError("copy-paste needs a part from another picture; name one, for instance with --nose")
    reader = reader or SketchReader(synthesizer.size)
    sketches, notes = _read([base, *parts.values()], reader)
    sketch, face = editing.copy_paste(synthesizer, sketches[0], dict(zip(parts, sketches[1:], strict=True)), wb=wb, k=k)
    captions = ["base", *(part.replace("_", " ") for part in parts), "sketch", "face"]
    sheet = contact_sheet([[*sketches, sketch, face]], captions)
    _folder(out)
    written = [out / "sheet.jpg", out / "face.png", out / "sketch.png"]
    save_picture(sheet, written[0])
    files.write(imageio.encode_png(face), written[1])
    files.write(mark(imageio.encode_png(sketch)), written[2])
    return Made(written, notes)


def gif(pictures: Sequence[np.ndarray], *, there_and_back: bool = True) -> bytes:
    """Encode pictures as an endless GIF.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, (H, W, 3)
        RGB, of one size.
    there_and_back : bool
        Go back the same way instead of jumping to the first.
    """
    from PIL import Image

    order = list(range(len(pictures)))
    durations = [HOLD if at in (0, order[-1]) else MILLISECONDS for at in order]
    if there_and_back:
        back = order[-2:0:-1]
        order, durations = order + back, durations + [MILLISECONDS] * len(back)
    images = [Image.fromarray(pictures[at]) for at in order]
    data = io.BytesIO()
    images[0].save(data, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, disposal=1)
    return data.getvalue()


def _read(pictures: Sequence[Path], reader: SketchReader) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """All of them or none: there is no half a morph."""
    sketches, notes = [], []
    for path in pictures:
        try:
            sketch, said = read_sketch(path, reader)
        except SampleError as error:
            raise UserError(f"{path}: {error.message}") from None
        sketches.append(sketch)
        notes += [f"{path}: {note}" for note in said]
    return sketches, tuple(notes)


def _write_frames(found: editing.Frames, out: Path, name: str) -> list[Path]:
    _folder(out)
    shown = np.unique(np.linspace(0, len(found.faces) - 1, min(STRIP, len(found.faces))).round().astype(int))
    rows = [[found.sketches[at] for at in shown], [found.faces[at] for at in shown]]
    captions = [f"{found.shares[at]:.2f}".rstrip("0").rstrip(".") for at in shown]
    strip, animation = out / "strip.jpg", out / f"{name}.gif"
    save_picture(contact_sheet(rows, captions, tile=min(256, found.faces.shape[1])), strip)
    files.write(gif(list(found.faces)), animation)
    frames = [out / f"frame-{at:03d}.png" for at in range(len(found.faces))]
    for path, face in zip(frames, found.faces, strict=True):
        files.write(imageio.encode_png(face), path)
    return [strip, animation, *frames]


def _folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {out}: cannot be made ({error.strerror}); choose another folder") from None
