"""Nearest rows of a bank, exactly: cheap lower bounds rule nearly all rows out, float64 decides among the rest.

The smallest bounds (see `sketchprep.models.deepfacedrawing.drawing.distance_bounds`) name k rows; no neighbour is
farther than the largest of their true distances.  Rows with a bound up to it are measured in float32, and in float64 if
rounding leaves them in question.  Rows that lie close together cost time, never a neighbour.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sketchprep.models.deepfacedrawing.drawing.distance_bounds import LONGEST, ROWS, SLACK, DistanceBounds

__all__ = ["search"]

TOGETHER = 1 << 19  # bounds up to which all parts are looked at in one go
BLOCK = 64 * 20_000  # bounds held at once: 5 MB
GROUP = 16  # bounds of which the smallest stands for all where k small ones are looked for


def search(
    bounds: DistanceBounds, queries: Tensor, k: int, *, parts: list[int], members: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k nearest rows of each query, part by part.

    Parameters
    ----------
    bounds : DistanceBounds
    queries : Tensor of float32, shape (B, P, L)
        Finite, on the CPU.
    k : int
        From 1 to the number of rows (of members).
    parts : list of int, length P
        Which parts of the bank the queries belong to.
    members : Tensor of bool, shape (N,), optional
        Rows to choose from.

    Returns
    -------
    indices : Tensor of int64, shape (B, P, k)
    distances : Tensor of float64, shape (B, P, k)
        Squared, ascending; equal ones by index.
    """
    count, rows = len(queries), bounds.codes.shape[1]
    indices = torch.empty(count, len(parts), k, dtype=torch.int64)
    distances = torch.empty(count, len(parts), k, dtype=torch.float64)
    # One query looks at all parts at once, to save calls; many go part by part, in blocks of one size.
    together = count * len(parts) * rows <= TOGETHER
    step = max(1, BLOCK // rows)
    step = -(-count // -(-count // step)) if count else step
    for chosen in [list(range(len(parts)))] if together else [[at] for at in range(len(parts))]:
        for start in range(0, count, step):
            block = queries[start : start + step, chosen].transpose(0, 1).double()
            found = _block(bounds, block, k, [parts[at] for at in chosen], members)
            indices[start : start + step, chosen] = found[0].transpose(0, 1)
            distances[start : start + step, chosen] = found[1].transpose(0, 1)
    return indices, distances


def _block(
    bounds: DistanceBounds, queries: Tensor, k: int, parts: list[int], members: Tensor | None
) -> tuple[Tensor, Tensor]:
    shape = queries.shape[:2]
    low, same = bounds.lower(parts, queries)
    if members is not None:
        low.masked_fill_(~members, torch.inf)
    low, same, queries = low.flatten(0, 1), same.flatten(), queries.flatten(0, 1)
    part = torch.tensor(parts).repeat_interleave(shape[1])
    first = _smallest(low, k).flatten()
    query = torch.arange(len(low)).repeat_interleave(k)
    worst = _float32_bounds(bounds.codes, part, first, queries, query)[1].view(-1, k).amax(1).square()
    limit = worst - same + (worst + same) * 1e-12
    limit = (limit + limit.abs() * SLACK).float()[:, None]
    near = low <= limit
    if members is not None:
        near &= members
    query, row = _where(near)
    query, row = _candidates(*_float32_bounds(bounds.codes, part, row, queries, query), query, row, k, len(low))
    found, distance = _sorted(_exact_distances(bounds.codes, part, row, queries, query), query, row, k, len(low))
    return found.view(*shape, k), distance.view(*shape, k)


def _smallest(low: Tensor, k: int) -> Tensor:
    """Rows (B, k) with small bounds, nearly the smallest; never one at infinity if there are k others."""
    groups = low.shape[1] // GROUP
    if groups >= 8 * k:
        # Row r is in group r modulo `groups`, so that minima are taken of whole stretches of memory at a time.
        cut = low[:, : groups * GROUP].unflatten(1, (GROUP, groups))
        least, group = cut.amin(1).topk(k, largest=False, sorted=False)
        if not torch.isinf(least).any():
            within = cut.gather(2, group[:, None].expand(-1, GROUP, -1)).argmin(1)
            return within * groups + group
    return low.topk(k, largest=False, sorted=False).indices


def _where(mask: Tensor) -> tuple[Tensor, Tensor]:
    # NumPy finds a few true values among many false ones several times faster than torch.
    flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    query = torch.div(flat, mask.shape[1], rounding_mode="floor")
    return query, flat - query * mask.shape[1]


def _float32_bounds(codes: Tensor, part: Tensor, row: Tensor, queries: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    """What distances (not squared) of given pairs of query and row are at least, and at most; float64."""
    flat, at = codes.view(-1, codes.shape[-1]), part[query] * codes.shape[1] + row
    exact = queries.float()
    found = torch.empty(len(row))
    for start in range(0, len(row), ROWS):
        some = slice(start, start + ROWS)
        difference = flat.index_select(0, at[some]).sub_(exact.index_select(0, query[some]))
        torch.linalg.vector_norm(difference, dim=1, out=found[some])
    wide = found.double()
    # Rounding in any order; then squares too small for float32, and what is too large for it.
    lost = wide * ((codes.shape[-1] + 8) * 2.0**-23) + codes.shape[-1] * 2.0**-60
    beyond = ~(wide < LONGEST)
    return (wide - lost).masked_fill_(beyond, 0), (wide + lost).masked_fill_(beyond, torch.inf)


def _candidates(least: Tensor, most: Tensor, query: Tensor, row: Tensor, k: int, queries: int) -> tuple[Tensor, Tensor]:
    """Those pairs that may be among the k nearest of their query; pairs come sorted by query, then row."""
    limit = _padded(most, query, queries).kthvalue(k, dim=1).values
    kept = torch.from_numpy(np.flatnonzero((least <= limit[query]).numpy()))
    return query[kept], row[kept]


def _exact_distances(codes: Tensor, part: Tensor, row: Tensor, queries: Tensor, query: Tensor) -> Tensor:
    """Squared distances in float64 of given pairs of query and row."""
    flat = codes.view(-1, codes.shape[-1])
    at = part[query] * codes.shape[1] + row
    result = torch.empty(len(row), dtype=torch.float64)
    for start in range(0, len(row), ROWS):
        some = slice(start, start + ROWS)
        difference = flat.index_select(0, at[some]).double().sub_(queries.index_select(0, query[some]))
        torch.sum(difference.square_(), 1, out=result[some])
    return result


def _sorted(distance: Tensor, query: Tensor, row: Tensor, k: int, queries: int) -> tuple[Tensor, Tensor]:
    """The k nearest of each query; pairs come sorted by query, then row."""
    ordered, order = _padded(distance, query, queries).sort(dim=1, stable=True)
    rows = _padded(row, query, queries)
    return rows.gather(1, order[:, :k]), ordered[:, :k]


def _padded(values: Tensor, query: Tensor, queries: int) -> Tensor:
    """A row for each query; the rest is infinite, or 0."""
    counts = torch.bincount(query, minlength=queries)
    place = torch.arange(len(query)) - (counts.cumsum(0) - counts)[query]
    empty = torch.inf if values.is_floating_point() else 0
    padded = torch.full((queries, int(counts.max())), empty, dtype=values.dtype)
    padded[query, place] = values
    return padded
