"""Nearest rows of a bank: a cheap bound rules nearly all of them out, float64 decides among the rest.

A query t and a row c, both counted from the bank's centre, are rounded to t' and c' on small integers.  With the length
of what rounding took away, Cauchy and Schwarz give |t·c - t'·c'| <= |t - t'| |c| + |t'| |c - c'|, so the product of the
integers, which is exact, bounds each squared distance from below.  The k smallest bounds name k rows; the largest of
their true distances is one that no neighbour can exceed; whatever has a bound up to it is measured in float64.  Nothing
is guessed: rows that lie close together cost time, never a neighbour.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sketchprep import host

__all__ = ["KINDS", "Screen", "search"]

# "int8": a quarter of the bank's memory again, the fastest where the processor multiplies int8; "float32": the codes
# themselves; "none": every row is measured, the best for a small bank.
KINDS = ("int8", "float32", "none")

SMALL = 1024  # rows up to which screening does not pay
BLOCK = 1 << 19  # bounds held at once: a few MB, which the cache holds too
ROWS = 512  # rows measured at once: 2 MB of float64 for a code of 512
LONGEST = 1e15  # beyond this a float32 product may overflow
LEVELS = 127
SLACK = 2.0**-20  # over the few float32 roundings of a bound
TINY = 1e-30  # over whatever underflows
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


class Screen:
    """What is kept beside a bank's codes to bound distances.

    Parameters
    ----------
    codes : Tensor of float32, shape (P, N, L)
        Finite, contiguous, on the CPU.
    kind : {"int8", "float32", "none"}, optional
        By default what is fastest on this machine; the neighbours are the same with each.

    Attributes
    ----------
    kind : str
    nbytes : int
        Memory it takes beside the codes.
    """

    def __init__(self, codes: Tensor, kind: str | None = None) -> None:
        parts, rows, latent = codes.shape
        self.codes = codes
        self.kind = kind or _fastest(rows, latent)
        self.centre = torch.zeros(parts, latent, dtype=torch.float64)
        self.low, self.length, self.rest, self.step = torch.zeros(4, parts, rows)
        self.small = torch.empty(0, dtype=torch.int8)
        if self.kind == "int8":
            self.small = torch.empty(parts, rows, latent, dtype=torch.int8)
            # In blocks: a part in float64 would be two fifths of the bank.
            sums = [sum(some.sum(0, dtype=torch.float64) for some in part.split(ROWS)) for part in codes]
            self.centre = (torch.stack(sums) / rows).float().double()
        if self.kind != "none":
            for part in range(parts):
                for start in range(0, rows, ROWS):
                    self._fill(part, slice(start, min(start + ROWS, rows)))
        if self.length.max() > LONGEST:
            self.kind = "none"

    @property
    def nbytes(self) -> int:
        held = (self.small, self.low, self.length, self.rest, self.step, self.centre)
        return sum(tensor.nbytes for tensor in held)

    def _fill(self, part: int, rows: slice) -> None:
        codes = self.codes[part, rows].double() - self.centre[part]
        length = codes.norm(dim=1)
        # Rounded away from what they stand for: float32 must not make a bound sharper than it is.
        self.low[part, rows] = (length.square() * (1 - SLACK) - TINY).float()
        self.length[part, rows] = (length * (1 + SLACK)).float()
        if self.kind == "int8":
            self.small[part, rows], step, rest = _rounded(codes)
            self.step[part, rows] = step.float()
            self.rest[part, rows] = (rest * (1 + SLACK)).float()

    def bounds(self, parts: list[int], queries: Tensor) -> tuple[Tensor, Tensor]:
        """Lower bounds of squared distances, less what is the same for all rows.

        Parameters
        ----------
        parts : list of int, length P
        queries : Tensor of float64, shape (P, B, L)

        Returns
        -------
        low : Tensor of float32, shape (P, B, N)
        same : Tensor of float64, shape (P, B)
            A row's squared distance is at least its `low` plus this.
        """
        rows = self.codes.shape[1]
        if self.kind == "none":
            return torch.full((*queries.shape[:2], rows), -torch.inf), torch.zeros(queries.shape[:2]).double()
        queries = queries - self.centre[parts, None]
        length = queries.norm(dim=-1)
        if self.kind == "int8":
            small, step, rest = _rounded(queries)
            products = torch.stack([torch._int_mm(q, self.small[p].T) for p, q in zip(parts, small, strict=True)])
            products = torch.mul(products, self.step[parts, None])
            lost = 2 * rest
        else:
            step = torch.ones_like(length)
            products = torch.stack([F.linear(q, self.codes[p]) for p, q in zip(parts, queries.float(), strict=True)])
            lost = 2 * _float32_loss(queries.shape[-1]) * length
        lost = (lost + 8 * SLACK * length) * (1 + SLACK) + TINY
        low = torch.addcmul(self.low[parts, None], lost.float()[..., None], self.length[parts, None], value=-1)
        if self.kind == "int8":
            low.addcmul_((2 * (length + rest)).float()[..., None], self.rest[parts, None], value=-1)
        low.addcmul_(products, step.float()[..., None], value=-2)
        low[length > LONGEST] = -torch.inf
        return low, length.square()


def _fastest(rows: int, latent: int) -> str:
    if rows <= SMALL:
        return "none"
    able = host.cpu_flags() & _INT8_FLAGS and hasattr(torch, "_int_mm")
    return "int8" if able and _multiplies_exactly(latent) else "float32"


def _multiplies_exactly(latent: int) -> bool:
    """Try the int8 product on rows of this length, with the largest values there are among them."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-LEVELS, LEVELS + 1, (2, ROWS, latent), dtype=torch.int8, generator=generator)
    values[:, 0] = -LEVELS
    queries, rows = values
    expected = queries[:64].double() @ rows.double().T
    return all(torch.equal(torch._int_mm(queries[:m], rows.T).double(), expected[:m]) for m in (1, 2, 64))


def _rounded(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Small integers, the step between them (as float32 holds it) and the length of what they leave out."""
    step = (values.abs().amax(-1) / LEVELS).float().double().clamp_min(1e-36)
    small = (values / step[..., None]).round_().clamp_(-LEVELS, LEVELS)
    rest = values.addcmul(small, step[..., None], value=-1).norm(dim=-1)
    return small.to(torch.int8), step, rest


def _float32_loss(latent: int) -> float:
    """Largest error of a float32 product of two vectors of length 1, summed in any order."""
    modes = (
        torch.get_float32_matmul_precision() == "highest",
        getattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision", "none") in ("none", "ieee"),
        all(os.environ.get(f"{name}_DEFAULT_FPMATH_MODE", "STRICT") == "STRICT" for name in ("ONEDNN", "DNNL")),
    )
    # Where torch may round the factors to bfloat16 first, each loses up to 2^-8 of itself.
    return (latent + 8) * 2.0**-23 + (0 if all(modes) else 2.0**-6)


def search(
    screen: Screen, queries: Tensor, k: int, *, parts: list[int], members: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k nearest rows of each query, part by part.

    Parameters
    ----------
    screen : Screen
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
    count, rows = len(queries), screen.codes.shape[1]
    indices = torch.empty(count, len(parts), k, dtype=torch.int64)
    distances = torch.empty(count, len(parts), k, dtype=torch.float64)
    # One query looks at all parts at once, to save calls; many go part by part, to stay in the cache.
    together = count * len(parts) * rows <= BLOCK
    step = max(1, BLOCK // rows)
    for chosen in [list(range(len(parts)))] if together else [[at] for at in range(len(parts))]:
        for start in range(0, count, step):
            block = queries[start : start + step, chosen].transpose(0, 1).double()
            found = _block(screen, block, k, [parts[at] for at in chosen], members)
            indices[start : start + step, chosen] = found[0].transpose(0, 1)
            distances[start : start + step, chosen] = found[1].transpose(0, 1)
    return indices, distances


def _block(screen: Screen, queries: Tensor, k: int, parts: list[int], members: Tensor | None) -> tuple[Tensor, Tensor]:
    shape = queries.shape[:2]
    low, same = screen.bounds(parts, queries)
    if members is not None:
        low.masked_fill_(~members, torch.inf)
    low, same, queries = low.flatten(0, 1), same.flatten(), queries.flatten(0, 1)
    part = torch.tensor(parts).repeat_interleave(shape[1])
    first = low.topk(k, largest=False, sorted=False).indices
    query = torch.arange(len(low)).repeat_interleave(k)
    worst = _measured(screen.codes, part, first.flatten(), queries, query).view(-1, k).amax(1)
    limit = worst - same + (worst + same) * 1e-12
    limit = (limit + limit.abs() * SLACK).float()[:, None]
    near = low <= limit
    if members is not None:
        near &= members
    query, row = _where(near)
    found, distance = _sorted(_measured(screen.codes, part, row, queries, query), query, row, k, len(low))
    return found.view(*shape, k), distance.view(*shape, k)


def _where(mask: Tensor) -> tuple[Tensor, Tensor]:
    # NumPy finds a few true values among many false ones several times faster than torch.
    flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    query = torch.div(flat, mask.shape[1], rounding_mode="floor")
    return query, flat - query * mask.shape[1]


def _measured(codes: Tensor, part: Tensor, row: Tensor, queries: Tensor, query: Tensor) -> Tensor:
    """Squared distances in float64 of given pairs of query and row."""
    flat = codes.view(-1, codes.shape[-1])
    at = part[query] * codes.shape[1] + row
    result = torch.empty(len(row), dtype=torch.float64)
    for start in range(0, len(row), ROWS):
        some = slice(start, start + ROWS)
        result[some] = flat[at[some]].double().sub_(queries[query[some]]).square_().sum(1)
    return result


def _sorted(distance: Tensor, query: Tensor, row: Tensor, k: int, queries: int) -> tuple[Tensor, Tensor]:
    """The k nearest of each query; pairs come sorted by query, then row."""
    counts = torch.bincount(query, minlength=queries)
    place = torch.arange(len(query)) - (counts.cumsum(0) - counts)[query]
    padded = torch.full((queries, int(counts.max())), torch.inf, dtype=torch.float64)
    rows = torch.zeros(padded.shape, dtype=torch.int64)
    padded[query, place], rows[query, place] = distance, row
    ordered, order = padded.sort(dim=1, stable=True)
    return rows.gather(1, order[:, :k]), ordered[:, :k]
