"""Phases of training a StyleGAN2: discriminator, its lazy R1 penalty, generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from sketchprep.training.task import Phase

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from sketchprep.training.task import Batch

__all__ = ["Draws", "adam", "draw_latents", "gan_phases"]

Loss = Callable[[Mapping[str, Any], "Batch"], "dict[str, Tensor]"]
Draws = dict[str, Any]
"""Arguments of a generator's forward: z, and where styles are mixed `second` and `crossover`."""


def gan_phases(
    discriminate: Loss,
    penalise: Loss,
    generate: Loss,
    *,
    critics: tuple[str, ...],
    lr: float,
    lr_critic: float,
    betas: tuple[float, float],
    every: int,
    weights: Mapping[str, Mapping[str, float]],
) -> list[Phase]:
    """The three phases of a step; the penalty shares the discriminators' optimiser and runs in each `every`-th step.

    A discriminator that is updated `every` + 1 times in `every` steps gets learning rate and betas for so many
    (Karras et al. 2020, appendix B, "lazy regularization").

    Parameters
    ----------
    discriminate, penalise, generate : callable
        Losses by phase, see `sketchprep.training.task.Phase`.
    critics : tuple of str
        Names of the discriminators; the generator is ``"generator"``.
    weights : mapping
        Phase (``"d"``, ``"r1"``, ``"g"``) to weights of its losses.
    """
    ratio = every / (every + 1)
    lazily = partial(adam, lr=lr_critic * ratio, betas=tuple(beta**ratio for beta in betas))
    return [
        Phase("d", critics, discriminate, lazily, weights.get("d", {})),
        Phase("r1", critics, penalise, "d", weights.get("r1", {}), every),
        Phase("g", ("generator",), generate, partial(adam, lr=lr, betas=betas), weights.get("g", {})),
    ]


def adam(parameters: Iterable[nn.Parameter], *, lr: float, betas: tuple[float, float]) -> Optimizer:
    """Adam as StyleGAN2 has it: an epsilon of 1e-8."""
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=1e-8)


def draw_latents(count: int, *, style_dim: int, rows: int, mixing: float, device: torch.device) -> Draws:
    """Random z for a generator, with a second z and a crossover for the whole batch with probability `mixing`."""
    draws: Draws = {"z": torch.randn(count, style_dim, device=device)}
    if float(torch.rand(())) < mixing:
        draws["second"] = torch.randn(count, style_dim, device=device)
        draws["crossover"] = int(torch.randint(1, rows, ()))
    return draws
