"""Commands of DeepFaceDrawing: draw and edit faces with a trained model, export it; and those of `train_commands`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sketchprep.core.cli_options import DEVICE, OFFLINE, OUT_NEEDED
from sketchprep.models.deepfacedrawing import train_commands
from sketchprep.models.deepfacedrawing.drawing import pretrained

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["COMMANDS", "EVALUATE", "IMPORT", "TRAIN"]

FILE = click.Path(path_type=Path)


def model_options(command: Any) -> Any:
    """Which model and bank, and how near to the bank."""
    for option in (
        DEVICE,
        click.option("-k", default=10, show_default=True, help="Neighbours in the bank, at most 512."),
        click.option("--bank", "split", metavar="ATTR=1", help="Only the bank's faces with it, for instance Male=1."),
        click.option("--bank-file", type=FILE, help="Another bank; default: bank.safetensors beside the model."),
        click.option("--model", type=FILE, help="A model's file, instead of a run."),
        click.option("--run", type=FILE, help="Run of `sketchprep train`; default: the bundled model."),
    ):
        command = option(command)
    return command


def drawing_options(command: Any) -> Any:
    """How pictures are read, and how faithfully they are followed."""
    for option in (
        OFFLINE,
        click.option("--recipe", metavar="NAME|FILE", help="For photos; default: how the bank's dataset was made."),
        click.option(
            "--input",
            "kind",
            default="auto",
            show_default=True,
            metavar="auto|sketch|photo",
            help="What the pictures are; a photo is turned into a sketch first.",
        ),
        click.option("--clean", is_flag=True, help="Simplify rough drawings first."),
        click.option(
            "--align",
            metavar="ink|face|x,y,…",
            help="Move the drawing into the frame: by its ink, by the face found in it, or by five points: eyes, nose, "
            "corners of the mouth, left in the picture first.",
        ),
        click.option(
            "--wb",
            multiple=True,
            metavar="NUMBER|PART=NUMBER",
            help="From 0, plausible, to 1, as drawn; for all parts, the remainder too, or by part, with commas.  "
            "[default: 0.3,remainder=0.8]",
        ),
    ):
        command = option(command)
    return model_options(command)


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=FILE)
@OUT_NEEDED
@drawing_options
@click.option("--shadow", is_flag=True, help="Write what the neighbours look like too, under the sketch.")
@click.option("--batch", default=8, show_default=True, help="Faces drawn at once.")
def synthesize(pictures: tuple[Path, ...], out: Path, shadow: bool, batch: int, **options: Any) -> None:
    """Draw a face for each sketch or photo: a PNG named after it, and sheet.jpg with all."""
    from sketchprep.models.deepfacedrawing.drawing.synthesize_files import synthesize_files

    synthesizer, reader, words = _service(**options)
    result = synthesize_files(
        pictures, out, synthesizer=synthesizer, reader=reader, shadow=shadow, batch=batch, **words
    )
    for path, note in result.notes:
        click.echo(f"note    {str(path)!r}: {note}", err=True)
    for failure in result.failures:
        click.echo(f"failed  {failure.id!r}: {failure.message}", err=True)
    click.echo(f"{len(result.faces)} of {len(set(pictures))} faces in {out}")
    if result.sheet is not None:
        click.echo(f"  look at {result.sheet}")
    sys.exit(1 if result.failures else 0)


@click.command()
@click.argument("first", type=FILE)
@click.argument("last", type=FILE)
@OUT_NEEDED
@drawing_options
@click.option("--frames", default=25, show_default=True, help="Faces, with both ends.")
def morph(first: Path, last: Path, out: Path, frames: int, **options: Any) -> None:
    """Turn one picture's face into another's: frames, a strip and a GIF."""
    from sketchprep.models.deepfacedrawing.drawing.edit_files import morph_files

    synthesizer, reader, words = _service(**options)
    click.echo(morph_files(first, last, out, synthesizer=synthesizer, reader=reader, frames=frames, **words).text())


@click.command("copy-paste")
@click.option("--base", required=True, type=FILE, help="Drawing or photo that gives every part not named.")
@click.option("--left-eye", type=FILE, help="Picture to take the eye from that is left in it.")
@click.option("--right-eye", type=FILE, help="The same for the right one.")
@click.option("--nose", type=FILE, help="Picture to take the nose from.")
@click.option("--mouth", type=FILE, help="Picture to take the mouth from.")
@click.option("--remainder", type=FILE, help="Picture to take hair and outline from.")
@OUT_NEEDED
@drawing_options
def copy_paste(base: Path, out: Path, **options: Any) -> None:
    """Draw one face with parts of several pictures."""
    from sketchprep.models.deepfacedrawing.drawing.edit_files import copy_paste_files
    from sketchprep.ops.face_parts import PARTS

    named = {part: options.pop(part) for part in PARTS}
    parts = {part: path for part, path in named.items() if path is not None}
    synthesizer, reader, words = _service(**options)
    click.echo(copy_paste_files(base, parts, out, synthesizer=synthesizer, reader=reader, **words).text())


@click.command()
@click.argument("first", metavar="ID")
@click.argument("last", metavar="ID")
@OUT_NEEDED
@model_options
@click.option("--frames", default=25, show_default=True, help="Faces, with both ends.")
def interpolate(first: str, last: str, out: Path, frames: int, k: int, **options: Any) -> None:
    """Walk between two faces of the bank in a straight line of codes: frames, a strip and a GIF."""
    from sketchprep.models.deepfacedrawing.drawing.edit_files import interpolate_bank

    synthesizer = _synthesizer(**options)
    click.echo(interpolate_bank(first, last, out, synthesizer=synthesizer, frames=frames, k=k).text())


def _synthesizer(
    run: Path | None, model: Path | None, bank_file: Path | None, split: str | None, device: str
) -> Synthesizer:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer

    path = pretrained.choose(run, model, say=partial(click.echo, err=True))
    named = {"model": path} if model is not None else {"run": path}
    return open_synthesizer(**named, bank=bank_file, split=split, device=device)


def _service(
    *,
    wb: tuple[str, ...],
    k: int,
    align: str | None,
    clean: bool,
    kind: str,
    recipe: str | None,
    offline: bool,
    device: str,
    **model: Any,
) -> tuple[Synthesizer, SketchReader, dict[str, Any]]:
    """Model, reader of pictures, and the arguments of `Synthesizer.synthesize`, which are checked before loading."""
    from sketchprep.models.deepfacedrawing.drawing.manifold import ALL
    from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader, parse_align
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import WB, parse_wb
    from sketchprep.sketching.sketcher import face_recipe, face_sketcher

    shares = parse_wb(wb)
    if ALL in shares and "remainder" not in shares:
        hint = f"remainder={WB['remainder']:g} keeps its default"
        click.echo(f"--wb {shares[ALL]:g} is for the remainder too; {hint}", err=True)
    words = {"wb": shares, "k": k}
    place = parse_align(align)
    synthesizer = _synthesizer(device=device, **model)
    by = recipe or face_recipe(synthesizer.bank.facts if synthesizer.bank is not None else {})
    sketcher = face_sketcher(by, device=device, offline=offline)
    reader = SketchReader(
        synthesizer.size, align=place, clean=clean, kind=kind, sketcher=sketcher, synthesizer=synthesizer
    )
    return synthesizer, reader, words


@click.command("export-onnx")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@OUT_NEEDED
@click.option("--only", metavar="A,B,…", help="Some of encoders, face, hed and simplifier; default: all.")
@click.option("--opset", default=18, show_default=True, help="ONNX operator set, 18 to 24.")
@OFFLINE
def export_onnx(run: Path | None, out: Path, only: str | None, opset: int, offline: bool) -> None:
    """Write networks as ONNX files, each checked against torch on real pictures.

    RUN is a run of `sketchprep train deepfacedrawing` or its model file; default: the bundled model.
    """
    from sketchprep.models.deepfacedrawing.onnx import export_onnx as export

    names = None if only is None else [name.strip() for name in only.split(",")]
    if run is None and {"encoders", "face"} & set(names or ("face",)) and pretrained.bundled() is not None:
        run = pretrained.choose(None, None, say=partial(click.echo, err=True))
    export(run, out, only=names, opset=opset, offline=offline, done=lambda made: click.echo(made.text()))


COMMANDS = (*train_commands.COMMANDS, synthesize, morph, copy_paste, interpolate, export_onnx)
TRAIN, EVALUATE = train_commands.TRAIN, train_commands.EVALUATE
IMPORT = ()
