"""DeepFaceDrawing in three calls: train it, draw faces with it, evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sketchprep.evaluation.faces import FaceReport
    from sketchprep.models.deepfacedrawing.drawing.synthesize_files import Synthesis
    from sketchprep.models.deepfacedrawing.training.train import Outcome

__all__ = ["evaluate", "synthesize", "train"]


def train(data: str | Path, run: str | Path, **options: Any) -> Outcome:
    """Train in both stages, see `sketchprep.models.deepfacedrawing.training.train.train_deepfacedrawing`."""
    from sketchprep.models.deepfacedrawing.training.train import train_deepfacedrawing

    return train_deepfacedrawing(data, run, **options)


def synthesize(
    pictures: Sequence[str | Path],
    out: str | Path,
    *,
    run: str | Path | None = None,
    device: str = "auto",
    offline: bool = False,
    **options: Any,
) -> Synthesis:
    """Draw a face for each sketch or photo.

    Parameters
    ----------
    pictures : sequence of path
        Drawings, or photos, which the recipe of the model's data turns into sketches first.
    out : path
        Folder for ``NAME.png`` and ``sheet.jpg``.
    run : path, optional
        A training's run; default: the bundled model.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch missing weights.
    **options
        ``wb``, ``k``, ``batch`` and ``shadow``, see
        `sketchprep.models.deepfacedrawing.drawing.synthesize_files.synthesize_files`.

    Raises
    ------
    UserError
        If the model is missing, or as `synthesize_files`.
    """
    from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader
    from sketchprep.models.deepfacedrawing.drawing.synthesize_files import synthesize_files
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer
    from sketchprep.sketching.sketcher import face_recipe, face_sketcher

    synthesizer = open_synthesizer(run, device=device)
    recipe = face_recipe(synthesizer.bank.facts if synthesizer.bank is not None else {})
    sketcher = face_sketcher(recipe, device=device, offline=offline)
    reader = SketchReader(synthesizer.size, sketcher=sketcher, synthesizer=synthesizer)
    paths = [Path(picture) for picture in pictures]
    return synthesize_files(paths, Path(out), synthesizer=synthesizer, reader=reader, **options)


def evaluate(
    data: str | Path,
    run: str | Path | None = None,
    out: str | Path | None = None,
    *,
    split: str = "test",
    limit: int | None = None,
    device: str = "auto",
    offline: bool = False,
    **options: Any,
) -> FaceReport:
    """Draw the faces of a dataset's split from their sketches and compare them with the photos.

    Parameters
    ----------
    data : path
        A built dataset.
    run : path, optional
        A training's run; default: the bundled model.
    out : path, optional
        Folder of the report; default ``evaluation-SPLIT`` in the run.
    split, limit, device, offline
        See `sketchprep.evaluation.subject.EvaluationConfig`.
    **options
        ``wbs``, ``k``, ``inception`` and ``progress``, see `sketchprep.models.deepfacedrawing.evaluate.evaluate_faces`.

    Raises
    ------
    UserError
        As `evaluate_faces`.
    """
    from sketchprep.evaluation.subject import EvaluationConfig
    from sketchprep.models.deepfacedrawing.evaluate import ModelFiles, evaluate_faces

    config = EvaluationConfig(data, split, limit, device, offline)
    return evaluate_faces(config, ModelFiles(run), out, **options)
