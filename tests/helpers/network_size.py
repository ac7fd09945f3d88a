"""The size of a network, to be compared with what its table says."""

from __future__ import annotations

from torch import nn


def count(module: nn.Module) -> int:
    """Number of weights and offsets, BatchNorm's statistics not among them."""
    return sum(p.numel() for p in module.parameters())
