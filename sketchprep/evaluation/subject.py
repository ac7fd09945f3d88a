"""What is evaluated: models that turn sketches into faces, and the held-out pairs they are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.core import runtime
from sketchprep.evaluation.paired_metrics import PairedMetrics
from sketchprep.training.cost import Trained
from sketchprep.training.paired_data import PairedFaces

if TYPE_CHECKING:
    from sketchprep.evaluation.inception import Inception

__all__ = ["BATCH", "EvaluationConfig", "Generate", "HeldOutPairs", "Item", "Subject"]

BATCH = 8
SPLITS = ("train", "val", "test")
Generate = Callable[[np.ndarray], np.ndarray]
"""From sketches (B, S, S) to faces (B, S, S, 3), both uint8."""


@dataclass(frozen=True)
class Item:
    """A pair: its name, sketch (S, S) and photo (S, S, 3), both uint8, and landmarks (68, 2) in pixels or None."""

    name: str
    sketch: np.ndarray
    photo: np.ndarray
    landmarks: np.ndarray | None


class HeldOutPairs(PairedFaces):
    """Pairs of a split without augmentation, one by one; see `PairedFaces`."""

    def __getitem__(self, number: int) -> Item:
        pictures, landmarks = self._decoded(number)
        photo = np.ascontiguousarray(pictures["photo"].transpose(1, 2, 0))
        return Item(self._pairs.table["id"][number].as_py(), pictures["sketch"][0], photo, landmarks)

    def of_another_split(self) -> HeldOutPairs | None:
        """As many pairs of another split of the dataset; None if no split has so many."""
        from sketchprep.datasets.reader import open_pairs

        data = str(dict(self._given)["data"])
        counts = {row["values"]: row["counts"] for row in open_pairs(data).table["split"].value_counts().to_pylist()}
        for split in SPLITS:
            if split != self.split and counts.get(split, 0) >= len(self):
                return HeldOutPairs(data, size=self.size, split=split, sketch=self.sketch, limit=len(self))
        return None


@dataclass(frozen=True)
class EvaluationConfig:
    """Which pairs are drawn, and on what.

    Attributes
    ----------
    data : path
        A built dataset.
    split : str
    limit : int, optional
        At most that many pairs.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch weights.
    """

    data: str | Path
    split: str = "test"
    limit: int | None = None
    device: str = "auto"
    offline: bool = False

    def pairs(self, *, size: int, sketch: str = "sketch") -> HeldOutPairs:
        """Open the pairs at a size, with a stored stage as sketch; raises as `PairedFaces`."""
        return HeldOutPairs(self.data, size=size, split=self.split, sketch=sketch, limit=self.limit)

    def metrics(self) -> PairedMetrics:
        """Open what compares faces with photos."""
        return PairedMetrics(device=runtime.resolve_device(self.device), offline=self.offline)

    def inception(self, weights: str | Path) -> Inception:
        """Open Inception with these weights, or with those in torch-fidelity's place for ``"auto"``."""
        from sketchprep.evaluation.inception import Inception

        return Inception(None if str(weights) == "auto" else weights, device=runtime.resolve_device(self.device))


@dataclass
class Subject:
    """What is under evaluation, and the pairs it is tried on.

    Attributes
    ----------
    generators : dict of str to callable
        By title.
    pairs : HeldOutPairs
    about : dict
        What decides the figures, as JSON values: ``model`` (SHA-256 of its file), ``data``, and what the family adds.
    setup : str
        How the model was used, for the head of a report.
    trained : dict of tuple of str to Trained
        By titles; the model's own first, then those it is compared with.
    notes : list of str
        What a reader must know.
    """

    generators: dict[str, Generate]
    pairs: HeldOutPairs
    about: dict[str, Any]
    setup: str
    trained: dict[tuple[str, ...], Trained]
    notes: list[str]

    def batches(self) -> Iterator[tuple[int, list[Item]]]:
        """Pairs in fixed batches: number of the first, and the pairs."""
        for start in range(0, len(self.pairs), BATCH):
            yield start, [self.pairs[number] for number in range(start, min(start + BATCH, len(self.pairs)))]

    def generate(self, sketches: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Faces of sketches, by title."""
        stacked = np.stack(sketches)
        return {title: generate(stacked) for title, generate in self.generators.items()}
