"""What is evaluated: ways from sketches to faces, and the held-out pairs they are tried on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.core import runtime
from sketchprep.errors import UserError
from sketchprep.evaluation.paired_metrics import PairedMetrics
from sketchprep.io import files
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS
from sketchprep.models.deepfacedrawing.drawing.pretrained import bundled
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer, open_synthesizer
from sketchprep.training.cost import Trained, differing, of_baseline, of_model
from sketchprep.training.paired_data import ALL, PairedFaces

if TYPE_CHECKING:
    from torch import nn

    from sketchprep.evaluation.inception import Inception

__all__ = ["WBS", "EvaluationConfig", "Generate", "HeldOutPairs", "Item", "Subject", "parse_wbs"]

WBS = (0.0, 0.5, 1.0)
BATCH = 8
MODEL = "deepfacedrawing.safetensors"
Generate = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Item:
    """A pair: its name, sketch (S, S) and photo (S, S, 3), both uint8, and landmarks (68, 2) in pixels or None."""

    name: str
    sketch: np.ndarray
    photo: np.ndarray
    landmarks: np.ndarray | None


class HeldOutPairs(PairedFaces):
    """Pairs of a split as they are, one by one; see `PairedFaces`."""

    def __getitem__(self, number: int) -> Item:
        pictures, landmarks = self._decoded(number)
        photo = np.ascontiguousarray(pictures["photo"].transpose(1, 2, 0))
        return Item(self._pairs.table["id"][number].as_py(), pictures["sketch"][0], photo, landmarks)


@dataclass
class Subject:
    """What is under evaluation, and the pairs it is tried on.

    Attributes
    ----------
    synthesizer : Synthesizer
    drawers : dict of str to callable
        By title; each makes faces (B, S, S, 3), uint8, of sketches (B, S, S), uint8.
    faces : HeldOutPairs
    about : dict
        Sums of models and bank, the dataset, and what decides the figures, as JSON values.
    trained : dict of tuple of str to Trained
        By titles; the model's own first.
    notes : list of str
        What a reader must know.
    """

    synthesizer: Synthesizer
    drawers: dict[str, Generate]
    faces: HeldOutPairs
    about: dict[str, Any]
    trained: dict[tuple[str, ...], Trained]
    notes: list[str]

    @property
    def sketch(self) -> str:
        """The stored stage that the model was trained on."""
        return self.faces.sketch

    def batches(self) -> Iterator[tuple[int, list[Item]]]:
        """Pairs in fixed batches: number of the first, and the pairs."""
        for start in range(0, len(self.faces), BATCH):
            yield start, [self.faces[number] for number in range(start, min(start + BATCH, len(self.faces)))]

    def draw(self, sketches: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Faces of sketches by drawer."""
        stacked = np.stack(sketches)
        return {title: draw(stacked) for title, draw in self.drawers.items()}


@dataclass(frozen=True)
class EvaluationConfig:
    """What is to be measured on which pairs.

    Attributes
    ----------
    data : path
        A built dataset.
    run, model, bank, device
        See `sketchprep.models.deepfacedrawing.drawing.synthesizer.open_synthesizer`.
    baselines : tuple of path
        Runs of `sketchprep train baseline`, or their files.
    split : str
    limit : int, optional
        At most that many faces.
    offline : bool
        Never fetch weights.
    """

    data: str | Path
    run: str | Path | None = None
    model: str | Path | None = None
    bank: str | Path | None = None
    baselines: Sequence[str | Path] = ()
    split: str = "test"
    limit: int | None = None
    device: str = "auto"
    offline: bool = False

    def open(self, *, wbs: Sequence[float] = WBS, k: int = NEIGHBOURS) -> Subject:
        """Open the model, its bank, the baselines and the pairs to try them on.

        Parameters
        ----------
        wbs : sequence of float
            How far the faces follow the drawing, each 0 to 1; one drawer for each.
        k : int
            Neighbours in the bank.

        Raises
        ------
        UserError
            If something is missing or does not fit: a split, the pictures' or a baseline's size, a bank where one is
            needed, wb or k.
        """
        synthesizer = open_synthesizer(self.run, model=self.model, bank=self.bank, device=self.device)
        facts = synthesizer.model.facts
        task = facts.get("task", {})
        faces = self.faces(size=synthesizer.size, sketch=task.get("data", {}).get("sketch", "sketch"))
        blank = np.full((1, synthesizer.size, synthesizer.size), 255, np.uint8)
        for wb in wbs:  # what is wrong with wb, k or the bank is better said now
            synthesizer.project_sketches(blank, wb=wb, k=k)
        drawers = {f"wb = {wb:g}": _drawer(synthesizer, wb, k) for wb in wbs}
        trained = {tuple(drawers): of_model(self._file().parent, facts, _parameters(synthesizer.model.generator))}
        about = {
            "model": _sum(self._file()),
            "bank": None
            if synthesizer.bank is None
            else {"encoders": synthesizer.bank.encoders, "faces": len(synthesizer.bank)},
            "images": facts.get("images"),
            "data": faces.describe(),
            "wb": list(wbs),
            "k": k,
        }
        subject = Subject(synthesizer, drawers, faces, about, trained, _notes(synthesizer, faces, task.get("data", {})))
        self._add_baselines(subject, task)
        about["trained"] = [{"titles": list(titles), **one.values()} for titles, one in trained.items()]
        return subject

    def faces(self, *, size: int, sketch: str = "sketch") -> HeldOutPairs:
        """The pairs, at a size and with a stored stage as sketch; raises as `paired_data.PairedFaces`."""
        return HeldOutPairs(self.data, size=size, split=self.split, sketch=sketch, limit=self.limit)

    def _add_baselines(self, subject: Subject, task: dict[str, Any]) -> None:
        from sketchprep.models.pix2pix.model import file_of, load_baseline

        opened = [
            (file_of(path), load_baseline(path, device=runtime.resolve_device(self.device))) for path in self.baselines
        ]
        names = [model.shape.network for _, model in opened]
        sums = {}
        for (path, model), name in zip(opened, names, strict=True):
            title = name if names.count(name) == 1 else f"{name} ({path.parent.name})"
            if title in subject.drawers:
                raise UserError(f"--baseline {path}: is there twice; name each once")
            if model.shape.size != subject.synthesizer.size:
                raise UserError(
                    f"--baseline {path}: draws {model.shape.size} px, the model {subject.synthesizer.size}; "
                    "compare those of one size"
                )
            subject.drawers[title] = model.draw
            subject.trained[title,] = of_baseline(path.parent, model.facts, _parameters(model.network))
            sums[title] = _sum(path)
            if unlike := differing(task, model.facts.get("task", {})):
                subject.notes.append(f"`{title}` was trained with other settings than the model: {'; '.join(unlike)}.")
        if sums:
            subject.about["baselines"] = sums

    def judge(self) -> PairedMetrics:
        """Open what compares the faces with the photos."""
        return PairedMetrics(device=runtime.resolve_device(self.device), offline=self.offline)

    def inception(self, weights: str | Path) -> Inception:
        """Open Inception with these weights, or with those in torch-fidelity's place for ``"auto"``."""
        from sketchprep.evaluation.inception import Inception

        return Inception(None if str(weights) == "auto" else weights, device=runtime.resolve_device(self.device))

    def folder(self, out: str | Path | None, name: str) -> Path:
        """The folder of a report: `out`, else `name` with the split in the run or beside the model; of the bundled
        model, in the current folder.

        Raises
        ------
        UserError
            If it cannot be made.
        """
        beside = self._file().parent if self.run or self.model else Path()
        folder = Path(out) if out is not None else beside / f"{name}-{self.split}"
        files.try_folder(folder)
        return folder

    def _file(self) -> Path:
        path = Path(self.run or self.model or bundled() or ".")
        return path / MODEL if path.is_dir() else path


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _drawer(synthesizer: Synthesizer, wb: float, k: int) -> Generate:
    return lambda sketches: synthesizer.draw(sketches, wb=wb, k=k).faces


def _notes(synthesizer: Synthesizer, faces: HeldOutPairs, trained: dict[str, Any]) -> list[str]:
    notes = []
    known = set() if synthesizer.bank is None else set(synthesizer.bank.ids) & set(faces.ids)
    if known:
        notes.append(f"{len(known)} of the faces are in the bank: what is drawn towards it is judged too well.")
    if faces.split in (trained.get("split"), ALL):
        notes.append(f"The model was trained on faces of the split `{faces.split}`: the figures flatter it.")
    return notes


def parse_wbs(text: str) -> tuple[float, ...]:
    """Read ``--wb``: numbers from 0 to 1 with commas.

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
