"""Check that a drawing sits where the model expects a face: by its ink, and by its residuals from the bank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from sketchprep.ops.face_parts import PARTS
from sketchprep.ops.ink import INK, ink_box

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank
    from sketchprep.models.deepfacedrawing.drawing.manifold import Projection

__all__ = [
    "REMEDY",
    "ReconstructionStats",
    "advice",
    "distances",
    "ink_fault",
    "outlier_parts",
    "reconstruction_stats",
    "residuals",
]

# As shares of the frame: the least ink, the least extent of a drawn face, how far its middle may be off, and the least
# height of a drawing that is not taken for a part of one.
LEAST_INK, LEAST_EXTENT, FARTHEST, WHOLE = 0.002, 0.55, 0.14, 0.7
MIDDLE = (0.5, 0.5)
# How far beyond the 95th percentile of the bank's own faces a drawing is an outlier, and of how many parts it must be.
OUTLIER, LEAST_PARTS = 1.75, 2
ASKED = 200  # faces of the bank that the statistics are taken of
FEWEST = 8
INNER = [at for at, part in enumerate(PARTS) if part != "remainder"]  # hair and clothes are outliers in many a face
REMEDY = "try --align ink, or name five points with --align x,y,…"


@dataclass(frozen=True)
class ReconstructionStats:
    """How well a bank reconstructs faces that are not in it.

    Attributes
    ----------
    centre : Tensor of float32, shape (5, latent)
        Mean of the bank's codes.
    shares : ndarray of float64, shape (5,)
        What the projection usually leaves of a code's distance from the centre, by part.
    faces : ndarray of float64, shape (M, 5)
        What it leaves of some of the bank's faces, each projected on the others, by the above.
    """

    centre: Tensor
    shares: np.ndarray
    faces: np.ndarray


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
    if abs(down) > FARTHEST and y1 - y0 >= WHOLE:
        return f"its ink lies too {'low' if down > 0 else 'high'}"
    return None


def distances(bank: ComponentBank, codes: Tensor, projection: Projection) -> np.ndarray:
    """Distance of codes to the nearest face of the bank, by part: float64, shape (B, 5)."""
    import torch

    nearest = bank.by_part[torch.arange(len(PARTS)), projection.indices[..., 0].cpu()]
    return (codes.cpu().double() - nearest.double()).norm(dim=-1).numpy()


_known: WeakKeyDictionary[ComponentBank, dict[int, ReconstructionStats | None]] = WeakKeyDictionary()


def reconstruction_stats(bank: ComponentBank, k: int) -> ReconstructionStats | None:
    """Statistics of the bank's own faces, each projected on the others; cached by bank and k.

    Parameters
    ----------
    bank : ComponentBank
        Or a split of one.
    k : int
        Neighbours.

    Returns
    -------
    ReconstructionStats or None
        None for a bank of fewer than 8 faces.
    """
    kept = _known.setdefault(bank, {})
    if k not in kept:
        kept[k] = _measured(bank, min(k, len(bank) - 1)) if len(bank) >= FEWEST else None
    return kept[k]


def _measured(bank: ComponentBank, k: int) -> ReconstructionStats:
    import torch

    from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS, nearest, weights

    rows = torch.arange(len(bank.ids)) if bank.members is None else torch.nonzero(bank.members)[:, 0]
    asked = rows[torch.linspace(0, len(rows) - 1, min(ASKED, len(rows))).round().long()]
    members = slice(None) if bank.members is None else bank.members
    centre = torch.stack([part[members].mean(0) for part in bank.by_part])
    codes = bank.codes[asked].contiguous()
    found, _ = nearest(bank, codes, k + 1)
    itself = found == asked[:, None, None]
    itself[~itself.any(-1), -1] = True  # where as many equal ones came first
    found = found[~itself].view(*found.shape[:2], k)
    shares = np.empty((len(asked), len(PARTS)))
    step = max(1, ASKED * NEIGHBOURS // k)  # whose neighbours are held in float64 at once
    for at in range(len(PARTS)):
        for start in range(0, len(asked), step):
            some = slice(start, start + step)
            others, code = bank.by_part[at, found[some, at]].double(), codes[some, at].double()
            projected = (weights(code, others).unsqueeze(-2) @ others).squeeze(-2)
            shares[some, at] = _shares(code, projected, centre[at])
    middle = np.maximum(np.median(shares, axis=0), 1e-6)
    return ReconstructionStats(centre, middle, shares / middle)


def _shares(codes: Tensor, projected: Tensor, centre: Tensor) -> np.ndarray:
    codes, projected, centre = (tensor.cpu().double() for tensor in (codes, projected, centre))
    return ((codes - projected).norm(dim=-1) / (codes - centre).norm(dim=-1).clamp_min(1e-12)).numpy()


def residuals(codes: Tensor, projection: Projection, stats: ReconstructionStats) -> np.ndarray:
    """Distance of codes from their projection, by part, over the median of the bank's faces: float64, shape (B, 5)."""
    return _shares(codes, projection.projected, stats.centre) / stats.shares


def outlier_parts(
    found: np.ndarray, stats: ReconstructionStats | None, blank: np.ndarray, *, margin: float = OUTLIER
) -> dict[str, float]:
    """The inner parts of a drawing, if their residuals are outliers among those of the bank's own faces.

    Parameters
    ----------
    found : ndarray of float, shape (5,)
        From `residuals`, of one drawing.
    stats : ReconstructionStats or None
    blank : ndarray of bool, shape (5,)
        Parts that are not drawn; they do not count.
    margin : float
        The drawing's mean may be as many times as far above 1 as that of 19 in 20 faces.

    Returns
    -------
    dict of str to float
        How many times worse, by part; empty if it is no outlier, or fewer than two inner parts are drawn.
    """
    drawn = [at for at in INNER if not blank[at]]
    if stats is None or len(drawn) < LEAST_PARTS:
        return {}
    most = float(np.percentile(stats.faces[:, drawn].mean(axis=1), 95))
    if found[drawn].mean() <= 1 + margin * max(most - 1, 0.0):
        return {}
    return {PARTS[at]: float(found[at]) for at in drawn}


def advice(fault: str | None, outliers: Mapping[str, float], *, remedy: str = REMEDY) -> str | None:
    """One sentence: what speaks against the drawing's place, and what to do; None if nothing does.

    Parameters
    ----------
    fault : str or None
        From `ink_fault`.
    outliers : mapping of str to float
        From `outlier_parts`.
    remedy : str
        What to do; empty where a button says so.
    """
    reasons = [fault] if fault else []
    if outliers:
        names = " and ".join(part.replace("_", " ") for part in sorted(outliers, key=lambda p: -outliers[p])[:2])
        reasons.append(f"{names} are {max(outliers.values()):.1f} times as far from the bank as usual")
    if not reasons:
        return None
    return "; ".join([f"may not sit in the frame: {', and '.join(reasons)}", *([remedy] if remedy else [])])
