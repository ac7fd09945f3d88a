"""Measured cost of a run, from a few steps: images per second, peak memory, images that fit into a time budget."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.training import checkpoint, devices
from sketchprep.training.data_loader import BatchLoader
from sketchprep.training.state import State, seed_step
from sketchprep.training.state import step as take_step

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from sketchprep.training.options import Options
    from sketchprep.training.task import Task

__all__ = ["Cost", "dry_run", "in_images", "measure"]

WARM_UP_STEPS, LEAST_STEPS, SECONDS = 3, 4, 12.0
# Sample grids, scores and checkpoints come on top of the measured steps.
SHARE_OF_STEPS = 0.93


@dataclass(frozen=True)
class Cost:
    """What training costs on this machine.

    Attributes
    ----------
    images_per_second : float
    waiting : float
        Share of the time spent waiting for data, 0..1.
    peak_memory : int
        Bytes, see `devices.peak_memory`.
    images : int
        Length of the run.
    """

    images_per_second: float
    waiting: float
    peak_memory: int
    images: int

    @property
    def text(self) -> str:
        """Describe it in a line."""
        hours = self.images / self.images_per_second / 3600
        return (
            f"{self.images_per_second:.1f} images/s ({self.waiting:.0%} waiting for data), "
            f"{self.peak_memory / 2**30:.2f} GiB peak memory, {self.images:,} images in {hours:.2f} hours"
        )


def measure(task: Task, options: Options, fabric: Fabric) -> Cost:
    """Train a few steps on fresh networks that are thrown away.

    Parameters
    ----------
    options : Options
        Resolved, see `devices.resolve`.
    """
    per_step = options.step_images(fabric.world_size)
    state = State(task, options, fabric)
    with devices.memory_errors(options), BatchLoader.of(task, 0, options, fabric) as loader:
        steps, start, waited = -WARM_UP_STEPS, time.monotonic(), 0.0
        while steps < LEAST_STEPS or time.monotonic() - start < SECONDS:
            if steps == 0:
                _synchronize(fabric)
                start, waited = time.monotonic(), loader.take_waited()
            batches = loader.step()
            seed_step(options.seed, (steps + WARM_UP_STEPS) * per_step, fabric.global_rank)
            for phase in state.phases:
                if steps < 0 or steps % phase.every == 0:
                    take_step(fabric, state, phase, batches, clip=options.clip)
            steps += 1
            # All processes must take the same number of steps.
            if fabric.broadcast(steps >= LEAST_STEPS and time.monotonic() - start >= SECONDS):
                break
        _synchronize(fabric)
        seconds, waited = time.monotonic() - start, loader.take_waited()
    cost = Cost(steps * per_step / seconds, waited / seconds, devices.peak_memory(fabric), options.images)
    del state, batches
    gc.collect()
    return fabric.broadcast(cost)


def _synchronize(fabric: Fabric) -> None:
    if fabric.device.type == "cuda":
        import torch

        torch.cuda.synchronize(fabric.device)


def dry_run(task: Task, options: Options) -> Cost:
    """Measure a few steps without touching any run's folder; print its `text` to say what training would take."""
    options = devices.resolve(options)
    fabric = devices.launch(options)
    cost = measure(task, options, fabric)
    if options.max_minutes is None:
        return cost
    fitting = _fitting(cost, options, fabric, options.max_minutes * 60)
    return Cost(cost.images_per_second, cost.waiting, cost.peak_memory, fitting)


def in_images(task: Task, options: Options, fabric: Fabric, run: Path, began: float) -> Options:
    """Convert a time budget (`max_minutes`) to the number of images that fit into it.

    A resumed run keeps the number computed at its start, so that its schedule ends where it was going to.

    Parameters
    ----------
    began : float
        ``time.monotonic()`` at the start of the command; what has passed since counts.
    """
    if options.max_minutes is None:
        return options
    if (latest := checkpoint.load_latest(run)) is not None:
        planned = latest.settings["options"]
        same = planned["max_minutes"] == options.max_minutes
        return options.model_copy(update={"images": planned["images"]}) if same else options
    cost = measure(task, options, fabric)
    left = options.max_minutes * 60 - (time.monotonic() - began)
    return options.model_copy(update={"images": _fitting(cost, options, fabric, left)})


def _fitting(cost: Cost, options: Options, fabric: Fabric, seconds: float) -> int:
    per_step = options.step_images(fabric.world_size)
    steps = int(cost.images_per_second * seconds * SHARE_OF_STEPS / per_step)
    return min(options.images, max(1, steps) * per_step)
