"""The shadow under the canvas: neighbours of a drawing's parts, blended faintly as guidance.

Chen et al., "DeepFaceDrawing" (2020): for each part the nearest sketches of the bank are blended by their weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.ops.face_parts import PARTS, windows

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank
    from sketchprep.models.deepfacedrawing.drawing.manifold import Projection
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer

__all__ = ["LARGEST_WEIGHT", "lay", "shadows", "soft_mask", "under"]

LARGEST_WEIGHT = 0.5
STRENGTH = {"remainder": 1.0}
OTHERS = 0.5
DIMMED = 0.2
FAINTNESS = 0.4
FADE = 0.06  # of the frame: how far beside a window the remainder is seen fully
# Of a part's window, from its middle: seen fully up to the first share of the half width, not at all from the second.
SOFT = (0.55, 0.97)


def shadows(synthesizer: Synthesizer, projection: Projection) -> np.ndarray:
    """Blend what the neighbours look like.

    Parameters
    ----------
    synthesizer : Synthesizer
        With a bank.
    projection : Projection
        Of B drawings.

    Returns
    -------
    ndarray of uint8, shape (B, size, size)
        White with faint grey lines: darkness 0.4 at most.

    Notes
    -----
    A part's darkness is the sum of its neighbours' by their weights, those below 0 left out and those above 0.5 held
    there.  It fades out towards the border of its window (`soft_mask`) and counts half; the remainder's counts fully,
    less a fifth where parts lie, and fades out beside their windows.
    """
    assert synthesizer.bank is not None
    found = {part: _darkness(synthesizer, synthesizer.bank, projection, part) for part in PARTS}
    return lay(found, synthesizer.size)


def lay(darkness: Mapping[str, np.ndarray], size: int, *, faintness: float = FAINTNESS) -> np.ndarray:
    """Lay the parts' darkness into the frame, as `shadows` says.

    Parameters
    ----------
    darkness : mapping of str to ndarray of float32, shape (B, s, s)
        All five parts, each as large as its window; 0 white to 1 black.
    size : int
        Height and width of the frame in pixels.
    faintness : float
        The darkness of what is fully dark.

    Returns
    -------
    ndarray of uint8, shape (B, size, size)
    """
    total = np.zeros((len(darkness["remainder"]), size, size), np.float32)
    for part, window in windows(size).items():
        if part == "remainder":
            seen = darkness[part] * _rest(size)
        else:
            seen = darkness[part] * soft_mask(window.width)
        total[(slice(None), *window.slices)] += STRENGTH.get(part, OTHERS) * seen
    return np.rint(255 * (1 - faintness * np.minimum(total, 1))).astype(np.uint8)


def under(shadow: np.ndarray, sketch: np.ndarray) -> np.ndarray:
    """Lay a shadow under a drawing: their product, uint8, shape (size, size)."""
    return np.rint(shadow.astype(np.float32) * sketch / 255).astype(np.uint8)


@lru_cache(maxsize=16)
def soft_mask(side: int) -> np.ndarray:
    """How much of a part is seen: 1 in the middle of its window, 0 at the border; float32, (side, side), read only."""
    at = np.abs((np.arange(side) + 0.5) / side * 2 - 1)
    radius = (at[:, None] ** 4 + at**4) ** 0.25  # a square with round corners
    near = np.clip((SOFT[1] - radius) / (SOFT[1] - SOFT[0]), 0, 1)
    mask = (near * near * (3 - 2 * near)).astype(np.float32)
    mask.flags.writeable = False
    return mask


def _darkness(synthesizer: Synthesizer, bank: ComponentBank, projection: Projection, part: str) -> np.ndarray:
    """Sum of the neighbours' darkness, float32, shape (B, s, s), 0 to 1."""
    import torch

    at = PARTS.index(part)
    indices, shares = projection.indices[:, at].cpu(), projection.weights[:, at].cpu().clamp(0, LARGEST_WEIGHT)
    # Drawings of one batch have neighbours in common, and those without weight need no drawing.
    wanted = torch.unique(indices[shares > 0])
    decoder = synthesizer.model.image_decoders[part]
    device = next(decoder.parameters()).device
    result = torch.zeros(0)
    with torch.inference_mode():
        for row in wanted.split(8):
            pictures = decoder(bank.by_part[at, row].to(device))[:, 0].float().cpu()
            share = torch.stack([(shares * (indices == number)).sum(1) for number in row], dim=1)
            dark = ((1 - pictures) / 2).clamp(0, 1)
            some = (share @ dark.flatten(1)).unflatten(1, dark.shape[1:])
            result = result + some if len(result) else some
    return result.clamp(0, 1).numpy()


@lru_cache(maxsize=4)
def _rest(size: int) -> np.ndarray:
    """How much of the remainder is seen: it is white in the parts' windows, and must not end there like cut paper."""
    import cv2

    covered, outside = np.zeros((size, size), np.float32), np.ones((size, size), np.uint8)
    for part, window in windows(size).items():
        if part != "remainder":
            covered[window.slices] = np.maximum(covered[window.slices], soft_mask(window.width))
            outside[window.slices] = 0
    near = np.clip(cv2.distanceTransform(outside, cv2.DIST_L2, 5) / (FADE * size), 0, 1)
    rest = ((1 - DIMMED * covered) * np.where(outside, near * near * (3 - 2 * near), 1)).astype(np.float32)
    rest.flags.writeable = False
    return rest
