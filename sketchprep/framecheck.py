"""Whether a drawing sits where the model looks for a face: by its ink, and by how far its parts are from the bank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.ops.components import PARTS
from sketchprep.ops.ink import INK, ink_box

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.bank import Bank
    from sketchprep.manifold import Projection

__all__ = ["advice", "distances", "ink_fault", "strange_parts"]

# As shares of the frame: the least ink, the least extent of a drawn face, how far its middle may be off.
LEAST_INK, LEAST_EXTENT, FARTHEST = 0.002, 0.55, 0.14
MIDDLE = (0.5, 0.5)
# How far beyond the 95th percentile of held-out sketches a part is strange, and how many make a drawing so.
STRANGE, MANY = 1.3, 2
_REMEDY = "try --align ink, or name five points with --align x,y,…"


def ink_fault(sketch: np.ndarray) -> str | None:
    """Say what is wrong with the place of a drawing's ink, or None.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (size, size)
        Black on white, in the frame.
    """
    size = len(sketch)
    if (sketch < INK).mean() < LEAST_INK:
        return "there is hardly any ink on it"
    x0, y0, x1, y1 = (v / size for v in ink_box(sketch))
    if max(x1 - x0, y1 - y0) < LEAST_EXTENT:
        return f"its ink fills only {x1 - x0:.0%} of the frame's width and {y1 - y0:.0%} of its height"
    across, down = (x0 + x1) / 2 - MIDDLE[0], (y0 + y1) / 2 - MIDDLE[1]
    if abs(across) > FARTHEST:
        return f"its ink lies too far {'right' if across > 0 else 'left'}"
    # Where mouth and chin, or hair, are still to be drawn, the middle of the ink tells nothing of its height.
    if abs(down) > FARTHEST and y1 - y0 >= LEAST_EXTENT:
        return f"its ink lies too {'low' if down > 0 else 'high'}"
    return None


def distances(bank: Bank, codes: Tensor, projection: Projection) -> np.ndarray:
    """Distance of codes to the nearest face of the bank, by part: float64, shape (B, 5)."""
    import torch

    nearest = bank.by_part[torch.arange(len(PARTS)), projection.indices[..., 0].cpu()]
    return (codes.cpu().double() - nearest.double()).norm(dim=-1).numpy()


def strange_parts(found: np.ndarray, usual: Mapping[str, list[float]], blank: np.ndarray) -> dict[str, float]:
    """Parts that are much farther from the bank than those of held-out sketches.

    Parameters
    ----------
    found : ndarray of float, shape (5,)
        Distances of one drawing.
    usual : mapping of str to (median, 95th percentile)
        Of held-out sketches; empty if it is not known.
    blank : ndarray of bool, shape (5,)
        Parts that are not drawn; they do not count.

    Returns
    -------
    dict of str to float
        How many times the 95th percentile.
    """
    if not usual:
        return {}
    ratios = {part: float(d / max(usual[part][1], 1e-9)) for part, d in zip(PARTS, found, strict=True)}
    return {part: r for (part, r), empty in zip(ratios.items(), blank, strict=True) if r > STRANGE and not empty}


def advice(fault: str | None, strange: Mapping[str, float]) -> str | None:
    """One sentence: what speaks against the drawing's place, and what to do; None if nothing does.

    Parameters
    ----------
    fault : str or None
        From `ink_fault`.
    strange : mapping of str to float
        From `strange_parts`.
    """
    reasons = [fault] if fault else []
    if len(strange) >= MANY or (fault and strange):
        names = " and ".join(part.replace("_", " ") for part in sorted(strange, key=lambda p: -strange[p])[:2])
        reasons.append(f"{names} are {max(strange.values()):.1f} times as far from the bank as usual")
    if not reasons:
        return None
    return f"may not sit in the frame: {', and '.join(reasons)}; {_REMEDY}"
