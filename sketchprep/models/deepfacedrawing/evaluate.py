"""Evaluate DeepFaceDrawing: open model, bank, baselines and held-out pairs, and measure them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.core import runtime
from sketchprep.errors import UserError
from sketchprep.evaluation import faces, robustness
from sketchprep.evaluation.faces import FaceReport
from sketchprep.evaluation.robustness import RobustnessReport
from sketchprep.evaluation.subject import EvaluationConfig, Generate, HeldOutPairs, Subject
from sketchprep.io import files, plots
from sketchprep.models import family
from sketchprep.models.deepfacedrawing import FILE
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS
from sketchprep.models.deepfacedrawing.drawing.pretrained import bundled
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer, open_synthesizer
from sketchprep.models.deepfacedrawing.training.cost import of_model
from sketchprep.training.cost import differing, of_run
from sketchprep.training.paired_data import ALL

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WBS", "ModelFiles", "evaluate_faces", "evaluate_robustness", "open_subject", "parse_wbs"]

WBS = (0.0, 0.5, 1.0)
Way = tuple[float, int]
"""wb, from the bank (0) to the drawing (1), and the number of neighbours."""


@dataclass(frozen=True)
class ModelFiles:
    """The files under evaluation.

    Attributes
    ----------
    run, model, bank : path, optional
        See `sketchprep.models.deepfacedrawing.drawing.synthesizer.open_synthesizer`.
    baselines : sequence of path
        Runs of `sketchprep train baseline`, or their files.
    """

    run: str | Path | None = None
    model: str | Path | None = None
    bank: str | Path | None = None
    baselines: Sequence[str | Path] = ()

    @property
    def file(self) -> Path:
        """The model's file."""
        return _file(self.run or self.model or bundled() or ".", FILE)

    def folder(self, out: str | Path | None, name: str) -> Path:
        """The folder of a report: `out`, else `name` in the run or beside the model; of the bundled model, in the
        current folder.

        Raises
        ------
        UserError
            If it cannot be made.
        """
        beside = self.file.parent if self.run or self.model else Path()
        folder = Path(out) if out is not None else beside / name
        files.try_folder(folder)
        return folder


def evaluate_faces(
    config: EvaluationConfig,
    model: ModelFiles,
    out: str | Path | None = None,
    *,
    wbs: Sequence[float] = WBS,
    k: int = NEIGHBOURS,
    inception: str | Path | None = None,
    progress: Callable[[int, str], Any] | None = None,
) -> FaceReport:
    """Draw the faces of a split from their sketches and compare them with the photos.

    The same call on the same machine gives the same figures.

    Parameters
    ----------
    config : EvaluationConfig
    model : ModelFiles
    out : path, optional
        Folder for ``table.md``, ``metrics.json`` and ``sheet.jpg``; default ``evaluation-SPLIT`` in the run.
    wbs : sequence of float
        How far the faces follow the drawing, each 0 to 1; one row for each.
    k : int
        Neighbours in the bank.
    inception : path, optional
        Measure on Inception's features too: their weights, or ``"auto"`` for where torch-fidelity keeps them, see
        `sketchprep.evaluation.inception.Inception`.
    progress : callable, optional
        Given the number of pictures and a description; returns something with ``update`` and ``close``.

    Raises
    ------
    UserError
        If a model, the bank, the split, the pictures' size or weights are missing or do not fit.
    """
    network = config.inception(inception) if inception is not None else None
    subject = open_subject(config, model, wbs=wbs, k=k)
    folder = model.folder(out, f"evaluation-{config.split}")
    return faces.evaluate_faces(subject, config.metrics(), folder, inception=network, progress=progress)


def evaluate_robustness(
    config: EvaluationConfig,
    model: ModelFiles,
    out: str | Path | None = None,
    *,
    preset: str | Path = robustness.NAME,
    progress: Callable[[int, str], Any] | None = None,
) -> RobustnessReport:
    """Degrade a split's sketches in four ways step by step, draw them, and compare the faces with the photos.

    Parameters
    ----------
    config : EvaluationConfig
        Its limit takes precedence over the preset's.
    model, progress
        See `evaluate_faces`.
    out : path, optional
        Folder for ``table.md``, ``metrics.json``, ``curves.png`` and ``sheet.jpg``; default ``robustness-SPLIT`` in
        the run.
    preset : str or path
        See `sketchprep.evaluation.robustness.load`.

    Raises
    ------
    UserError
        As `evaluate_faces`, for a mistake in the preset, or without matplotlib.
    """
    plots.require()
    settings = robustness.load(preset)
    config = replace(config, limit=settings.limit if config.limit is None else config.limit)
    subject = open_subject(config, model, wbs=settings.wb, k=settings.k)
    folder = model.folder(out, f"robustness-{config.split}")
    return robustness.evaluate_robustness(subject, config.metrics(), folder, settings, progress=progress)


def open_subject(config: EvaluationConfig, model: ModelFiles, *, wbs: Sequence[float] = WBS, k: int) -> Subject:
    """Open the model, its bank, the baselines, and the pairs to try them on; a generator for each wb.

    Raises
    ------
    UserError
        If something is missing or does not fit: a split, the pictures' or a baseline's size, a bank where one is
        needed, wb or k.
    """
    synthesizer = open_synthesizer(model.run, model=model.model, bank=model.bank, device=config.device)
    subject = subject_of(synthesizer, config, model, {f"wb = {wb:g}": (wb, k) for wb in wbs})
    subject.about |= {"wb": list(wbs), "k": k}
    subject.setup = f"{k} neighbours"
    _add_baselines(subject, config, model.baselines, synthesizer.model.facts.get("task", {}))
    subject.about["trained"] = [{"titles": list(titles), **one.values()} for titles, one in subject.trained.items()]
    return subject


def subject_of(
    synthesizer: Synthesizer, config: EvaluationConfig, model: ModelFiles, ways: Mapping[str, Way]
) -> Subject:
    """A synthesizer as subject, with a generator for each way of drawing by its title; raises as `open_subject`."""
    facts = synthesizer.model.facts
    data = facts.get("task", {}).get("data", {})
    pairs = config.pairs(size=synthesizer.size, sketch=data.get("sketch", "sketch"))
    blank = np.full((1, synthesizer.size, synthesizer.size), 255, np.uint8)
    for wb, k in ways.values():  # a wrong wb or k, or a missing bank, is refused before anything is measured
        synthesizer.project_sketches(blank, wb=wb, k=k)
    generators = {title: _generator(synthesizer, wb, k) for title, (wb, k) in ways.items()}
    bank = synthesizer.bank
    about = {
        "model": _digest(model.file),
        "bank": None if bank is None else {"encoders": bank.encoders, "faces": len(bank)},
        "images": facts.get("images"),
        "data": pairs.describe(),
    }
    trained = of_model(model.file.parent, facts, _parameters(synthesizer.model.generator))
    return Subject(generators, pairs, about, "", {tuple(generators): trained}, _notes(synthesizer, pairs, data))


def _add_baselines(
    subject: Subject, config: EvaluationConfig, paths: Sequence[str | Path], task: Mapping[str, Any]
) -> None:
    pix2pix, device = family("pix2pix"), runtime.resolve_device(config.device)
    opened = [(_file(path, pix2pix.FILE), pix2pix.load(path, device=device)) for path in paths]
    names = [model.name for _, model in opened]
    digests = {}
    for (path, model), name in zip(opened, names, strict=True):
        title = name if names.count(name) == 1 else f"{name} ({path.parent.name})"
        if title in subject.generators:
            raise UserError(f"--baseline {path}: is there twice; name each once")
        if model.size != subject.pairs.size:
            raise UserError(
                f"--baseline {path}: draws {model.size} px, the model {subject.pairs.size}; compare those of one size"
            )
        subject.generators[title] = model.draw
        subject.trained[title,] = of_run(path.parent, model.facts, _parameters(model.network))
        digests[title] = _digest(path)
        if unlike := differing(dict(task), model.facts.get("task", {})):
            subject.notes.append(f"`{title}` was trained with other settings than the model: {'; '.join(unlike)}.")
    if digests:
        subject.about["baselines"] = digests


def _file(path: str | Path, name: str) -> Path:
    return Path(path) / name if Path(path).is_dir() else Path(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _generator(synthesizer: Synthesizer, wb: float, k: int) -> Generate:
    return lambda sketches: synthesizer.synthesize(sketches, wb=wb, k=k).faces


def _notes(synthesizer: Synthesizer, pairs: HeldOutPairs, trained: Mapping[str, Any]) -> list[str]:
    notes = []
    known = set() if synthesizer.bank is None else set(synthesizer.bank.ids) & set(pairs.ids)
    if known:
        notes.append(f"{len(known)} of the faces are in the bank: what is drawn towards it is judged too well.")
    if pairs.split in (trained.get("split"), ALL):
        notes.append(f"The model was trained on faces of the split `{pairs.split}`: the figures flatter it.")
    return notes


def parse_wbs(text: str) -> tuple[float, ...]:
    """Parse ``--wb``: numbers from 0 to 1 with commas.

    Raises
    ------
    UserError
        If something else stands there, or a number twice.
    """
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 <= value <= 1 for value in values) or len(set(values)) != len(values):
        raise UserError(f"--wb {text}: must be different numbers from 0 to 1 with commas, for instance 0,0.5,1")
    return values
