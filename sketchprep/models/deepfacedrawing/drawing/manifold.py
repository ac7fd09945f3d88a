"""Projection of part codes onto the bank's manifold: nearest neighbours, locally linear weights, blending.

Chen et al., "DeepFaceDrawing" (2020): a rough sketch is a soft constraint.  The code of each part is projected onto
what its nearest neighbours span, as in locally linear embedding (Roweis and Saul 2000), and mixed with what was drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.errors import UserError
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank

__all__ = ["ALL", "MOST_NEIGHBOURS", "NEIGHBOURS", "Projection", "blend", "nearest", "project", "weights"]

NEIGHBOURS = 10
MOST_NEIGHBOURS = 512  # as many rebuild any code, so that nothing would be drawn onto the manifold
BLOCK = 8  # sketches whose neighbours are held in float64 at once; fewer where k is large
ALL = "all"


@dataclass(frozen=True)
class Projection:
    """Codes drawn onto the manifold.

    Attributes
    ----------
    projected : Tensor of float32, shape (B, P, latent)
    indices : Tensor of int64, shape (B, P, k)
        Rows of the bank, the nearest first.
    weights : Tensor of float32, shape (B, P, k)
        They add up to 1; some may be negative.
    """

    projected: Tensor
    indices: Tensor
    weights: Tensor


def nearest(
    bank: ComponentBank, queries: Tensor, k: int = NEIGHBOURS, *, parts: Sequence[str] | None = None
) -> tuple[Tensor, Tensor]:
    """The k nearest codes of the bank, part by part: exactly those that a search in float64 finds.

    Parameters
    ----------
    bank : ComponentBank
        Or a split of one.
    queries : Tensor of float32, shape (B, P, latent)
        Finite.
    k : int
        More than the bank holds is as many as it holds.
    parts : sequence of str, optional
        The P parts that the queries are of; all five by default.

    Returns
    -------
    indices : Tensor of int64, shape (B, P, k)
        Rows of the (whole) bank.
    distances : Tensor of float64, shape (B, P, k)
        Squared Euclidean, ascending; equal ones by index.

    Raises
    ------
    UserError
        If k is below 1 or a part is unknown.
    ValueError
        If the queries have another shape or are not finite.
    """
    import torch

    from sketchprep.models.deepfacedrawing.drawing.neighbours import search

    if k < 1:
        raise UserError(f"k={k}: at least 1 neighbour is needed; the paper takes {NEIGHBOURS}")
    numbers = _part_numbers(PARTS if parts is None else parts)
    if queries.shape[1:] != (len(numbers), bank.latent):
        raise ValueError(f"queries must have the shape (B, {len(numbers)}, {bank.latent}), not {tuple(queries.shape)}")
    local = queries.detach().to("cpu", torch.float32)
    if not torch.isfinite(local).all():
        raise ValueError("queries hold values that are not finite")
    with torch.no_grad():
        indices, distances = search(bank.distance_bounds, local, min(k, len(bank)), parts=numbers, members=bank.members)
    return indices.to(queries.device), distances.to(queries.device)


def weights(queries: Tensor, neighbours: Tensor, *, reg: float = 1e-3) -> Tensor:
    """Weights that rebuild codes from neighbours: the least squares of locally linear embedding.

    Minimises ``|q - Σ w_i n_i|²`` with ``Σ w_i = 1``: the Gram matrix G of the differences gets ``reg · trace(G) / k``
    on its diagonal, ``G w = 1`` is solved in float64 and w divided by its sum.  (scikit-learn adds ``reg · trace(G)``.)

    Parameters
    ----------
    queries : Tensor of float, shape (..., latent)
    neighbours : Tensor of float, shape (..., k, latent)
        Some may be equal, to each other or to the query.
    reg : float
        Above 0.

    Returns
    -------
    Tensor, shape (..., k)
        Of the queries' type.

    Raises
    ------
    ValueError
        If `reg` is not above 0 or the shapes do not fit.
    """
    import torch

    k = neighbours.shape[-2]
    if not reg > 0 or k < 1 or neighbours.shape[:-2] + neighbours.shape[-1:] != queries.shape:
        raise ValueError(
            f"reg must be above 0 and neighbours (..., k, latent) for queries (..., latent), not reg={reg}, "
            f"{tuple(neighbours.shape)} and {tuple(queries.shape)}"
        )
    difference = queries.double().unsqueeze(-2) - neighbours.double()
    # Brought to a common scale first, so that neither tiny nor huge codes leave float64.
    low, high = difference.flatten(-2).aminmax(dim=-1)
    scale = torch.maximum(-low, high)[..., None, None]
    difference /= torch.where(scale > 0, scale, 1)
    gram = difference @ difference.mT
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    ridge = reg * torch.where(trace > 0, trace / k, 1)
    gram.diagonal(dim1=-2, dim2=-1).add_(ridge.unsqueeze(-1))
    ones = torch.ones(*gram.shape[:-1], 1, dtype=gram.dtype, device=gram.device)
    solved = torch.cholesky_solve(ones, torch.linalg.cholesky(gram)).squeeze(-1)
    return (solved / solved.sum(-1, keepdim=True)).to(queries.dtype)


def project(
    bank: ComponentBank,
    codes: Tensor,
    k: int = NEIGHBOURS,
    *,
    parts: Sequence[str] | None = None,
    reg: float = 1e-3,
) -> Projection:
    """Draw codes onto the manifold that the bank spans.

    Parameters
    ----------
    bank : ComponentBank
    codes : Tensor of float32, shape (B, P, latent)
    k : int
        Neighbours, at most `MOST_NEIGHBOURS` or the whole bank; the paper takes 10.
    parts : sequence of str, optional
        The P parts, all five by default.
    reg : float
        See `weights`.

    Returns
    -------
    Projection

    Raises
    ------
    UserError, ValueError
        As `nearest` and `weights`.
    """
    import torch

    if min(k, len(bank)) > MOST_NEIGHBOURS:
        raise UserError(f"-k {k}: must be at most {MOST_NEIGHBOURS} neighbours; the paper takes {NEIGHBOURS}")
    indices, _ = nearest(bank, codes, k, parts=parts)
    step = max(1, min(BLOCK, 32 * NEIGHBOURS // k))
    part = torch.tensor(_part_numbers(PARTS if parts is None else parts))[None, :, None]
    projected, solved = torch.empty_like(codes), torch.empty(indices.shape, dtype=codes.dtype, device=codes.device)
    for start in range(0, len(codes), step):
        some = slice(start, start + step)
        found = bank.by_part[part, indices[some].cpu()].to(codes.device).double()
        exact = weights(codes[some].double(), found, reg=reg)
        solved[some] = exact
        projected[some] = (exact.unsqueeze(-2) @ found).squeeze(-2)
    return Projection(projected, indices, solved)


def blend(codes: Tensor, projected: Tensor, wb: float | Mapping[str, float] | Sequence[float] | np.ndarray) -> Tensor:
    """Mix what was drawn with its projection: ``wb · codes + (1 - wb) · projected``.

    Parameters
    ----------
    codes, projected : Tensor of float, shape (B, 5, latent)
    wb : float, mapping of str to float, or five floats
        From 0 (the manifold) to 1 (the drawing), as in the paper; the sliders of its released program count the other
        way.  One for all parts, one for each in the order of ``face_parts.PARTS``, or by name; ``"all"`` stands for the
        parts that are not named.

    Returns
    -------
    Tensor, shape (B, 5, latent)

    Raises
    ------
    UserError
        If wb lies outside 0..1, names an unknown part, or leaves one out.
    """
    import torch

    shares = torch.tensor(_shares(wb), dtype=codes.dtype, device=codes.device)[:, None]
    return shares * codes + (1 - shares) * projected


def _shares(wb: float | Mapping[str, float] | Sequence[float] | np.ndarray) -> list[float]:
    if isinstance(wb, Mapping):
        _part_numbers([part for part in wb if part != ALL])
        left_out = [part for part in PARTS if part not in wb and ALL not in wb]
        if left_out:
            raise UserError(f"wb: gives no value for {', '.join(left_out)}; add them, or '{ALL}' for all the others")
        values = {part: float(wb[part] if part in wb else wb[ALL]) for part in PARTS}
    else:
        given = np.asarray(wb, np.float64)
        if given.shape not in ((), (len(PARTS),)):
            raise UserError(f"wb: must be one value or {len(PARTS)}, one for each of {', '.join(PARTS)}")
        values = dict(zip(PARTS, np.broadcast_to(given, len(PARTS)).tolist(), strict=True))
    for part, value in values.items():
        if not 0 <= value <= 1:
            raise UserError(f"wb={value:g} of {part}: must lie between 0 (the manifold) and 1 (the drawing)")
    return list(values.values())


def _part_numbers(parts: Iterable[str]) -> list[int]:
    for part in parts:
        if part not in PARTS:
            raise UserError(f"part '{part}' is unknown; use {', '.join(PARTS)}")
    return [PARTS.index(part) for part in parts]
