"""The training loop that all models share.

`fit` is the whole of it: claim the run's folder, build the state, load the newest checkpoint, then step by step: load
batches, let every phase take its optimiser step, update the averages, and at intervals log, sample and save.  A step
is a function of (seed, images seen): its batch, learning rate and random numbers.  So a killed run resumes from its
last checkpoint to the same weights, bit for bit on a CPU without compilation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.training import budget, checkpoint, devices
from sketchprep.training.data_loader import BatchLoader
from sketchprep.training.logs import Log, LossMonitor
from sketchprep.training.options import due, factor
from sketchprep.training.run_dir import Run, check_init_from, disk_errors, resume_or_start
from sketchprep.training.signals import StopSignals
from sketchprep.training.state import State, seed_step
from sketchprep.training.state import step as take_step

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import Tensor

    from sketchprep.training.options import Options
    from sketchprep.training.task import Task

__all__ = ["Result", "fit"]


@dataclass(frozen=True)
class Result:
    """What a run, or this part of it, came to.

    Attributes
    ----------
    run : Path
    checkpoint : Path
        The newest.
    images, total : int
        Seen, and of the whole run.
    seconds : float
        Of this part, start and checkpoints included.
    stopped_by : int
        Number of the signal that ended it early, else 0.
    """

    run: Path
    checkpoint: Path
    images: int
    total: int
    seconds: float
    stopped_by: int = 0

    @property
    def exit_code(self) -> int:
        """0 for a finished run, 128 + the signal's number for a stopped one, as shells have it."""
        return 128 + self.stopped_by if self.stopped_by else 0

    @property
    def text(self) -> str:
        """Describe the result in a line."""
        if self.stopped_by:
            return f"{self.run}: stopped at {self.images:,} of {self.total:,} images; run the same command to resume"
        return f"{self.run}: finished, {self.total:,} images; {self.seconds / 60:.1f} minutes this time"


def fit(
    task: Task,
    run_dir: str | Path,
    options: Options,
    *,
    init_from: str | Path | None = None,
    quiet: bool = False,
) -> Result:
    """Train a task; the same call again resumes from the last checkpoint.

    Parameters
    ----------
    task : Task
        Networks, phases and data.
    run_dir : path
        Holds ``run.yaml``, ``stats.jsonl``, ``log.txt``, ``samples/`` and ``checkpoints/``; created if missing.
    options : Options
        How long, with what batch, precision and schedule, and what is written when.
    init_from : path, optional
        Checkpoint or run whose weights, averaged where there are such, initialise a new run.
    quiet : bool
        Neither bar nor lines on the terminal; the files are written all the same.

    Returns
    -------
    Result
        On SIGTERM, SIGUSR1 or Ctrl-C the step under way is finished and saved first.

    Raises
    ------
    UserError
        For a folder that holds another run or cannot be written, a partial or foreign checkpoint, a loss that is no
        number (the checkpoints before it are kept), a full disk, or too little memory (naming the batch to try).
    """
    began = time.monotonic()
    run_dir, init_from = Path(run_dir), Path(init_from) if init_from else None
    check_init_from(run_dir, init_from)
    options = devices.resolve(options)
    fabric = devices.launch(options)
    options = budget.in_images(task, options, fabric, run_dir, began)
    per_step = options.step_images(fabric.world_size)
    total = -(-options.images // per_step) * per_step

    with (
        devices.memory_errors(options),
        resume_or_start(task, run_dir, options, fabric, init_from) as (run, state, first),
        disk_errors(run_dir),
        Log(run_dir, first, total, mirrors=options.mirrors, quiet=quiet, silent=not fabric.is_global_zero) as log,
        BatchLoader.of(task, first, options, fabric) as loader,
        StopSignals() as stop,
    ):
        log.line(f"{task.name}: {'resumes' if first else 'starts'} at {first:,} of {total:,} images, {run_dir}")
        watch, images, signal = LossMonitor(), first, 0
        if first == 0:
            if fabric.is_global_zero:
                task.show_inputs(run_dir)
            _draw(task, state, fabric, log, images)

        while images < total and not signal:
            # Load the batches of this step; its random numbers and learning rate follow from its position.
            batches = loader.step()
            seed_step(options.seed, images, fabric.global_rank)
            rate = state.set_rate(factor(options.schedule, images + per_step / 2, total))

            # Each phase that is due updates its modules; the moving averages follow.
            losses: dict[str, Tensor] = {}
            for phase in state.phases:
                if images // per_step % phase.every == 0:
                    losses |= take_step(fabric, state, phase, batches, clip=options.clip)
            images += per_step
            state.average.update(images, per_step)
            watch.add(images // per_step, images, losses)

            # Log, sample and save.  A checkpoint comes after its line in the statistics, so that a run resumed from it
            # logs the same as one that never stopped; and only after its losses proved finite.
            signal = stop.asked(fabric)
            last = images >= total or signal > 0
            save = last or due(options.save_every, images, per_step)
            if save or due(options.stats_every, images, per_step):
                means = devices.averaged(fabric, watch.means())
                scores = _scores(task, state, fabric) if save else {}
                memory = devices.peak_memory(fabric)
                log.stats(images, rate, means, scores, waited=loader.take_waited(), memory=memory)
            if last or due(options.samples_every, images, per_step):
                _draw(task, state, fabric, log, images)
            if save:
                _save(task, run, state, options, fabric, images, scores)
            log.progress(images)

        newest = checkpoint.path_of(run_dir, images)
        result = Result(run_dir, newest, images, total, time.monotonic() - began, signal)
        log.line(result.text)
    return result


def _draw(task: Task, state: State, fabric: Fabric, log: Log, images: int) -> None:
    """Write the sample grid of this position."""
    if fabric.is_global_zero:
        with state.in_use() as modules, fabric.autocast():
            picture = task.samples(modules)
        if picture is not None:
            log.grid(images, picture)


def _scores(task: Task, state: State, fabric: Fabric) -> dict[str, float]:
    """Measure on held-out data: all processes wait for the first."""
    if not fabric.is_global_zero:
        return {}
    with state.in_use() as modules, fabric.autocast():
        return task.scores(modules)


def _save(
    task: Task,
    run: Run,
    state: State,
    options: Options,
    fabric: Fabric,
    images: int,
    scores: dict[str, float],
) -> None:
    """Write a checkpoint and remove those that are not kept."""
    if fabric.is_global_zero:
        checkpoint.save(run.path, state.parts(), images=images, task=task.name, settings=run.settings, scores=scores)
        checkpoint.prune(run.path, keep=options.keep, best=options.best)
    fabric.barrier()
