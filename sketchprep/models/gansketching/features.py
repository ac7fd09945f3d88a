"""Features of pictures for distances between sets of them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from sketchprep.ops.resize import resize

if TYPE_CHECKING:
    from sketchprep.nn.hed import HED

__all__ = ["trunk_features"]

SIDE = 128
STAGES = (2, 3)  # relu3_3 and relu4_3


def trunk_features(pictures: np.ndarray) -> np.ndarray:
    """Mean and deviation over a picture of two stages of HED's VGG16 trunk, each channel divided by its size.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (N, H, W, 3)
        RGB.

    Returns
    -------
    ndarray of float32, shape (N, 1536)
        Of about unit variance, so that a cubic kernel is in its range.
    """
    found = []
    for picture in pictures:
        pixels = torch.from_numpy(resize(picture, (SIDE, SIDE))).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            maps = [_trunk().features(pixels)[stage].flatten(2) for stage in STAGES]
        values = [torch.cat([m.mean(2), m.std(2)], 1) / m.square().mean().sqrt() for m in maps]
        found.append(torch.cat(values, 1)[0].numpy())
    return np.stack(found)


@lru_cache(maxsize=1)
def _trunk() -> HED:
    from sketchprep.core import weights
    from sketchprep.nn.hed import load_hed

    return load_hed(weights.path("hed"))
