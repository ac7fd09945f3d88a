"""Lower bounds of the distances to all rows of a bank, at a fraction of the cost of distances.

A query t and a row c, both counted from the bank's centre, are rounded to t' and c' on small integers.  With the length
of what rounding took away, Cauchy and Schwarz give |t·c - t'·c'| <= |t - t'| |c| + |t'| |c - c'|, so the product of the
integers, which is exact, bounds each squared distance from below.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor
from torch.nn import functional as F

from sketchprep.core import runtime

__all__ = ["KINDS", "LONGEST", "ROWS", "SLACK", "DistanceBounds"]

# "int8": a quarter of the bank's memory again, the fastest where the processor multiplies int8; "float32": the codes
# themselves; "none": every row is measured, the best for a small bank.
KINDS = ("int8", "float32", "none")

SMALL = 1024  # rows up to which screening does not pay
PIECE = 1 << 18  # bounds made at once, for the processor's cache
ROWS = 256  # rows taken to float64 at once: 1 MB for a code of 512
LONGEST = 1e15  # beyond this a float32 product may overflow
LEVELS = 127
SLACK = 2.0**-20  # over the few float32 roundings of a bound
TINY = 1e-30  # over whatever underflows
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


class DistanceBounds:
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

    def lower(self, parts: list[int], queries: Tensor) -> tuple[Tensor, Tensor]:
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
            lost = 2 * rest
        else:
            small, step, rest = queries.float(), torch.ones_like(length), torch.zeros_like(length)
            lost = 2 * _float32_loss(queries.shape[-1]) * length
        lost = (lost + 8 * SLACK * length) * (1 + SLACK) + TINY
        factors = [factor.float()[..., None] for factor in (lost, 2 * (length + rest), step)]
        low = torch.empty(*queries.shape[:2], rows)
        piece = max(1, PIECE // queries.shape[1])
        for at, part in enumerate(parts):
            for start in range(0, rows, piece):
                some = slice(start, min(start + piece, rows))
                self._bound(low[at, :, some], part, some, small[at], [factor[at] for factor in factors])
        if (length > LONGEST).any():
            low[length > LONGEST] = -torch.inf
        return low, length.square()

    def _bound(self, low: Tensor, part: int, rows: slice, queries: Tensor, factors: list[Tensor]) -> None:
        """Bounds of some rows, written into `low`."""
        lost, rest, step = factors
        if self.kind == "int8":
            products = torch._int_mm(queries, self.small[part, rows].T)
            torch.mul(products, self.step[part, rows], out=low)
            low.mul_(-2 * step).addcmul_(rest, self.rest[part, rows], value=-1)
        else:
            torch.mul(F.linear(queries, self.codes[part, rows]), -2, out=low)
        low.add_(self.low[part, rows]).addcmul_(lost, self.length[part, rows], value=-1)


def _fastest(rows: int, latent: int) -> str:
    if rows <= SMALL:
        return "none"
    able = runtime.cpu_flags() & _INT8_FLAGS and hasattr(torch, "_int_mm")
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
