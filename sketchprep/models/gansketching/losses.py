"""Losses of an unconditional GAN: five kinds, the R1 penalty, and the distance of weights from where they began."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import relu, softplus

__all__ = ["KINDS", "discriminate", "generate", "r1_penalty", "weight_distance"]

KINDS = ("softplus", "original", "ls", "hinge", "w")


def discriminate(logits: Tensor, *, real: bool, kind: str = "softplus") -> Tensor:
    """Mean loss of a discriminator for pictures that are real, or generated."""
    sign = -1.0 if real else 1.0
    losses: dict[str, Callable[[], Tensor]] = {
        "softplus": lambda: softplus(sign * logits),
        "original": lambda: cross_entropy(logits, torch.full_like(logits, float(real))),
        "ls": lambda: (logits - float(real)).square(),
        "hinge": lambda: relu(1 + sign * logits),
        "w": lambda: sign * logits,
    }
    return losses[kind]().mean()


def generate(logits: Tensor, *, kind: str = "softplus") -> Tensor:
    """Mean loss of a generator whose pictures are to pass for real."""
    return -logits.mean() if kind == "hinge" else discriminate(logits, real=True, kind=kind)


def r1_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """Mean squared norm of the gradient of the logits with respect to real pictures (Mescheder et al., ICML 2018).

    Parameters
    ----------
    logits : Tensor, shape (B, ...)
        Each sample's are averaged first.
    pictures : Tensor, shape (B, C, H, W)
        What they were computed from, requiring a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.flatten(1).mean(1).sum(), pictures, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def weight_distance(now: Iterable[Tensor], begun: Iterable[Tensor]) -> Tensor:
    """Mean over tensors of the mean absolute difference of their values."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(now, begun, strict=True)]).mean()
