"""A built dataset for PyTorch: samples that the default ``DataLoader`` collates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair, PairDataset

__all__ = ["TorchPairs"]

VALUES = ("id", "source", "split", "ordinal")
POINTS = {"landmarks": (68, 2), "pose": (3,)}


class TorchPairs(Dataset[Any]):
    """Map-style dataset of dictionaries, one entry a field.

    ========================  =======================================================================================
    ``photo``                 float32 (3, S, S), RGB from 0 to 1
    ``sketch``, other stages  float32 (1, S, S), from 0 (ink) to 1 (paper)
    ``labels``                int64 (S, S), CelebAMask-HQ's classes
    ``landmarks``             float32 (68, 2), (x, y) in pixels; NaN where the pair has none
    ``pose``                  float32 (3,), yaw, pitch and roll in degrees; NaN where the pair has none
    ``id source split``       str
    ``ordinal``               int
    ========================  =======================================================================================

    Parameters
    ----------
    pairs : PairDataset
    fields : sequence of str
        Of the table above.
    transform : callable, optional
        Applied to each dictionary; what it returns is the sample.

    Raises
    ------
    UserError
        If the dataset has no such field.

    Examples
    --------
    >>> data = open_pairs("out/portraits", split="train").torch()  # doctest: +SKIP
    >>> next(iter(torch.utils.data.DataLoader(data, batch_size=4)))["photo"].shape  # doctest: +SKIP
    torch.Size([4, 3, 512, 512])
    """

    def __init__(
        self,
        pairs: PairDataset,
        fields: Sequence[str] = ("photo", "sketch"),
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.pairs, self.fields, self.transform = pairs, tuple(fields), transform
        labels = ("labels",) if pairs.recipe.get("labels") else ()
        known = ("photo", *pairs.stages, *labels, *POINTS, *VALUES)
        for field in self.fields:
            if field not in known:
                raise UserError(f"fields: {pairs.folder} has no {field!r}; name some of {', '.join(known)}")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Any:
        pair = self.pairs[number]
        sample = {field: _value(pair, field) for field in self.fields}
        return sample if self.transform is None else self.transform(sample)


def _value(pair: Pair, field: str) -> Any:
    if field in VALUES:
        return pair.row[field]
    if field in POINTS:
        flat = pair.row[field]
        values = np.full(POINTS[field], np.nan) if flat is None else np.reshape(flat, POINTS[field])
        return torch.tensor(values, dtype=torch.float32)
    picture = torch.from_numpy(np.ascontiguousarray(pair[field]))
    if field == "labels":
        return picture.long()
    return (picture.movedim(-1, 0) if picture.ndim == 3 else picture[None]).float() / 255
