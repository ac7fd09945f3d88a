"""Options of a training run, which of them decide its result, and the learning rate schedule."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from sketchprep.core.config import FrozenModel

__all__ = ["FREE", "Options", "Schedule", "due", "factor"]

Images = Annotated[int, Field(ge=1)]

# May differ when a run resumes: they change how it is done, not what is computed.  `batch` and `accumulate` are
# compared by their product, so that a run that ran out of memory can resume with half the batch and twice the passes.
FREE = ("device", "threads", "workers", "compile", "stats_every", "samples_every", "save_every", "keep", "mirrors")


class Schedule(FrozenModel):
    """Learning rate over the run, as a factor on each optimiser's own.

    Attributes
    ----------
    kind : {"cosine", "linear", "constant"}
        Half a cosine down to `end`; or 1 until `hold` of the run, then a straight line down to `end`; or 1.
    warm_up : int
        Images over which the factor rises from 0 in a straight line.
    """

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    warm_up: int = Field(default=0, ge=0)
    hold: float = Field(default=0.5, ge=0, lt=1)
    end: float = Field(default=0.0, ge=0, le=1)


class Options(FrozenModel):
    """All that `sketchprep.training.loop.fit` can be told.  Progress and intervals are counted in images.

    Attributes
    ----------
    images : int
        Length of the run, rounded up to whole steps.
    max_minutes : float, optional
        Shortens the run: a few steps are measured at the start, `images` becomes what fits, and the schedule ends
        there.  The number is kept with the run, so that a resumed run ends where the uninterrupted one would.
    batch, accumulate : int
        Images of one forward pass of one process, and passes of one optimiser step.
    precision : {"auto", "float32", "bfloat16"}
        bfloat16 is mixed: weights stay float32.  auto takes it where the device has it in hardware.
    clip : float, optional
        Largest norm of a phase's gradient.
    ema_half_life : float
        Images after which a weight's share in the moving average has halved.  1,106 is a decay of .995 a step of
        eight.
    workers : int
        Processes that make batches ahead; 0 makes them between the steps.
    threads : int, optional
        Threads of the network's operations; default as torch finds fit.
    stats_every, samples_every, save_every : int
        Done at the first step that reaches a multiple of so many images.
    keep : int
        Newest checkpoints that are kept.
    best : str, optional
        Name of a score; the checkpoint in which it was smallest is kept too.
    mirrors : tuple of {"tensorboard", "wandb"}
        Further places for the statistics.
    """

    seed: int = Field(default=0, ge=0)
    images: Images = 100_000
    max_minutes: float | None = Field(default=None, gt=0)
    batch: Images = 8
    accumulate: Images = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    schedule: Schedule = Schedule()
    clip: float | None = Field(default=None, gt=0)
    ema_half_life: float = Field(default=1106.0, gt=0)
    channels_last: bool = True
    best: str | None = None
    device: str = "auto"
    threads: int | None = Field(default=None, ge=1)
    workers: int = Field(default=0, ge=0)
    compile: bool = False
    stats_every: Images = 1_000
    samples_every: Images = 10_000
    save_every: Images = 10_000
    keep: Images = 2
    mirrors: tuple[Literal["tensorboard", "wandb"], ...] = ()

    def binding(self, processes: int) -> dict[str, Any]:
        """The settings in which a resumed run must agree, as plain values."""
        values = self.model_dump(mode="json", exclude=set(FREE) | {"batch", "accumulate"})
        return values | {"batch × accumulate × processes": self.step_images(processes)}

    def step_images(self, processes: int) -> int:
        """Images of one optimiser step."""
        return self.batch * self.accumulate * processes


def factor(schedule: Schedule, at: float, total: int) -> float:
    """Factor on the learning rate, a function of the images seen, so that no scheduler state needs saving.

    Parameters
    ----------
    at : float
        Images seen; a step is taken at its middle, so that neither the first nor the last is idle.
    total : int
        Images of the whole run; from there on the factor is `schedule.end`.

    Returns
    -------
    float
        0..1.
    """
    if at < schedule.warm_up:
        return at / schedule.warm_up
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "cosine":
        done = min(1.0, (at - schedule.warm_up) / max(1, total - schedule.warm_up))
        return schedule.end + (1 - schedule.end) * 0.5 * (1 + math.cos(math.pi * done))
    fallen = min(1.0, max(0.0, at / total - schedule.hold) / (1 - schedule.hold))
    return 1 - (1 - schedule.end) * fallen


def due(every: int, images: int, step: int) -> bool:
    """Whether the step that ended at `images` reached or passed a multiple of `every`."""
    return images // every > (images - step) // every
