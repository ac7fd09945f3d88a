"""A bank's codes on disk in half precision, each part with as many numbers as its codes have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["narrowed", "widened"]

_PREFIX = "codes."


def narrowed(by_part: Tensor, lengths: Mapping[str, int]) -> dict[str, Tensor]:
    """Tensors to store: float16 (N, length) for each part, where float16 holds its numbers.

    Parameters
    ----------
    by_part : Tensor of float32, shape (5, N, latent)
        Zero from each part's length on.
    lengths : mapping of str to int
    """
    import torch

    stored = {}
    for at, part in enumerate(PARTS):
        codes = by_part[at, :, : lengths[part]]
        half = float(codes.abs().max()) <= torch.finfo(torch.float16).max
        stored[_PREFIX + part] = (codes.half() if half else codes).contiguous()
    return stored


def widened(tensors: Mapping[str, Tensor]) -> Tensor:
    """Codes (5, N, latent), float32, of stored tensors, with zeros after the shorter ones.

    Raises
    ------
    ValueError
        If they are no codes of as many faces for each part.
    KeyError
        If a part is missing.
    """
    import torch

    parts = [tensors[_PREFIX + part] for part in PARTS]
    if any(codes.ndim != 2 or codes.dtype not in (torch.float16, torch.float32) for codes in parts):
        raise ValueError("codes have another type or shape")
    if len({len(codes) for codes in parts}) != 1:
        raise ValueError("the parts have codes of different numbers of faces")
    wide = torch.zeros(len(parts), len(parts[0]), max(codes.shape[1] for codes in parts))
    for row, codes in zip(wide, parts, strict=True):
        row[:, : codes.shape[1]] = codes
    return wide
