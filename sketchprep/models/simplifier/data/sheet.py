"""Contact sheet of pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.models.simplifier.data.sampler import PairSampler

__all__ = ["pair_sheet"]


def pair_sheet(sampler: PairSampler, indices: Sequence[int], *, columns: int = 4) -> np.ndarray:
    """Rough and clean side by side.

    Parameters
    ----------
    sampler : PairSampler
    indices : sequence of int
    columns : int
        Pairs in a row.

    Returns
    -------
    ndarray, (H, W, 3) uint8
        RGB, for :func:`sketchprep.io.contact_sheet.save_picture`.
    """
    blank = np.full((sampler.size, sampler.size), 255, np.uint8)
    pictures = [picture for index in indices for picture in sampler.pair(index)[:2]]
    pictures += [blank] * (-len(pictures) % (2 * columns))
    rows = [pictures[i : i + 2 * columns] for i in range(0, len(pictures), 2 * columns)]
    return contact_sheet(rows, ["rough", "clean"] * columns, tile=sampler.size)
