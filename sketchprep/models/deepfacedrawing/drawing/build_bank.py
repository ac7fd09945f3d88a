"""Making a component bank: all sketches of a dataset through the encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.models.deepfacedrawing.drawing.bank import NO, UNKNOWN, YES, ComponentBank, make_bank
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.datasets.reader import Pair

__all__ = ["attribute_table", "build_bank"]


def attribute_table(rows: Sequence[Iterable[str] | None]) -> dict[str, np.ndarray]:
    """Attributes of many faces as columns.

    Parameters
    ----------
    rows : sequence of (iterable of str or None)
        The attributes that are true of each face; None where it has no annotation.

    Returns
    -------
    dict of str to ndarray of int8, shape (len(rows),)
        1 yes, -1 no, 0 not known; the names sorted.
    """
    names = sorted({name for row in rows if row is not None for name in row})
    sets = [None if row is None else frozenset(row) for row in rows]
    return {
        name: np.array([UNKNOWN if row is None else YES if name in row else NO for row in sets], np.int8)
        for name in names
    }


def build_bank(
    encode: Callable[[Tensor], Tensor],
    data: str | Path,
    *,
    size: int,
    encoders: str,
    split: str = "train",
    sketch: str = "sketch",
    limit: int | None = None,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> ComponentBank:
    """Encode the sketches of a dataset, a batch at a time.

    Parameters
    ----------
    encode : callable
        From sketches, float32 (B, 1, size, size), -1 (ink) to 1 (paper), to codes (B, 5, latent).
    data : path
        The dataset.
    size : int
        Of the encoders' frame in pixels.
    encoders : str
        SHA-256 of the encoders' weights in hexadecimal.
    split, sketch, limit
        See `sketchprep.training.paired_data.PairedFaces`.
    batch : int
        Sketches encoded at once.
    progress : callable, optional
        Called with the number of faces done and of all.

    Returns
    -------
    Bank
        In the dataset's order, with the attributes that the dataset has.

    Raises
    ------
    UserError
        If the dataset will not do or a sketch cannot be read.
    """
    import torch

    from sketchprep.datasets.reader import open_pairs
    from sketchprep.training.paired_data import ALL as EVERY
    from sketchprep.training.paired_data import PairedFaces

    # Faces knows which datasets will do, and the name under which the stage is stored.
    faces = PairedFaces(data, size=size, split=split, sketch=sketch, photos=False, limit=limit)
    pairs = open_pairs(data, None if split == EVERY else split)
    attributes = attribute_table(pairs.table["attributes"].slice(0, len(faces)).to_pylist())
    codes: Tensor | None = None
    for start in range(0, len(faces), batch):
        numbers = range(start, min(start + batch, len(faces)))
        pictures = np.stack([_sketch(pairs[number], faces.sketch, size) for number in numbers])
        with torch.no_grad():
            found = encode(torch.from_numpy(pictures)[:, None].float() / 127.5 - 1).float().cpu()
        if codes is None:
            codes = torch.empty(len(PARTS), len(faces), found.shape[-1])
        codes[:, start : start + len(found)] = found.transpose(0, 1)
        if progress is not None:
            progress(start + len(found), len(faces))
    assert codes is not None
    if not torch.isfinite(codes).all():
        raise UserError(f"{data}: the encoders give codes that are not finite; train them again, or take another run")
    return make_bank(codes.transpose(0, 1), faces.ids, encoders, attributes)


def _sketch(pair: Pair, stage: str, size: int) -> np.ndarray:
    from sketchprep.ops.resize import resize

    try:
        return resize(pair[stage], (size, size))
    except SampleError as error:
        raise UserError(f"pair {pair.id!r}: {error}; see `sketchprep verify`") from None
