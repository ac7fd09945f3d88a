"""The interface of a model family to the loop: a task of named modules, and phases of one optimiser step each.

A phase is one loss minimised by one optimiser over some of the modules (Karras et al., StyleGAN: a GAN is a list of
phases, and lazy regularisation is a phase with an interval).  An autoencoder has one phase; a GAN has a generator's
and a discriminator's; an R1 penalty is a third one that shares the discriminator's optimiser.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer

__all__ = ["Batch", "Phase", "Task"]

Batch = dict[str, Any]


@dataclass(frozen=True)
class Phase:
    """One loss, the modules it trains, and their optimiser.

    Attributes
    ----------
    name : str
        Prefix of its losses in the statistics.
    modules : tuple of str
        What is trained.  Every other module is frozen while the phase runs, though gradients pass through it.
    loss : callable
        ``loss(modules, batch) -> {name: scalar Tensor}``; called with modules behind their wrappers, so only their
        ``forward`` may be used.  It may leave detached tensors in the batch for the later phases of the same step.
    optimiser : callable or str
        ``optimiser(parameters) -> Optimizer`` with the peak learning rate; or the name of an earlier phase whose
        optimiser is shared.
    weights : mapping of str to float
        Weight of each loss in the sum that is minimised; 1 where none is given, 0 for what is only watched.
    every : int
        Runs in each so many steps, beginning with the first.
    """

    name: str
    modules: tuple[str, ...]
    loss: Callable[[Mapping[str, nn.Module], Batch], dict[str, Tensor]]
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer] | str
    weights: Mapping[str, float] = field(default_factory=dict)
    every: int = 1


class Task(ABC):
    """What is learnt.  A task holds plain values only: it is pickled for the processes that make batches."""

    name: ClassVar[str]
    #: Modules that keep an exponential moving average.
    averaged: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def modules(self) -> dict[str, nn.Module]:
        """Build the networks with fresh weights; the random generator is seeded by the caller."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """List the phases of a step, in order."""

    @abstractmethod
    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        """Make the training samples with these visit numbers, as arrays with a leading batch axis.

        Visit n is the n-th picture that training looks at.  The result depends on the task and `visits` alone.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """All settings that decide the result, as plain JSON values; another description is another run."""

    def show_inputs(self, run: Path) -> None:  # noqa: B027 (most tasks have nothing to show)
        """Write into the folder of a run that begins what a person should look at before it has gone far."""

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray | None:
        """Draw a picture of fixed inputs and what becomes of them: uint8, (H, W) or (H, W, 3) RGB.

        Called in eval mode without gradients, with averaged modules where there are such.
        """
        return None

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """Measure how good the modules are on held-out data, smaller being better; called before each checkpoint."""
        return {}
