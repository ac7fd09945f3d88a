"""The beginning of a run: claim its folder, build the networks, load what it goes on from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.training import checkpoint, devices
from sketchprep.training import run_dir as runs
from sketchprep.training.options import FREE
from sketchprep.training.state import State

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import Tensor, nn

    from sketchprep.training.options import Options
    from sketchprep.training.task import Task

__all__ = ["check_weights", "seed_step", "start"]


def check_weights(run_dir: Path, init_from: Path | None) -> None:
    """Refuse weights to begin with that cannot be had, before anything is made; a run that goes on needs none."""
    if init_from is not None and checkpoint.load_latest(run_dir) is None:
        checkpoint.read(init_from, option="--init-from")


@contextmanager
def start(
    task: Task, run_dir: Path, options: Options, fabric: Fabric, init_from: Path | None
) -> Iterator[tuple[runs.Run, State, int]]:
    """Hold a run's folder; give the run, its state and the images it has seen.

    Only the first process claims the folder and writes there; all read the same checkpoint.
    """
    settings = runs.binding(task, options, fabric.world_size, init_from)
    how = options.model_dump(mode="json", include={*FREE, "batch", "accumulate"})
    if not fabric.is_global_zero:
        fabric.barrier()
        run = runs.Run(run_dir, settings, checkpoint.load_latest(run_dir))
        yield run, *_state(task, run, options, fabric, init_from)
        return
    with runs.claim(run_dir, settings, how, devices.machine(fabric)) as run:
        fabric.barrier()
        yield run, *_state(task, run, options, fabric, init_from)


def _state(task: Task, run: runs.Run, options: Options, fabric: Fabric, init_from: Path | None) -> tuple[State, int]:
    state = State(task, options, fabric)
    if run.latest is not None:
        _go_on(state, run.latest)
        return state, run.latest.images
    if init_from is not None:
        _begin_with(task, state, init_from)
    return state, 0


def _go_on(state: State, found: checkpoint.Checkpoint) -> None:
    """Take over everything: networks, averages, optimisers."""
    for names, modules, suffix in (
        (state.trained, state.modules, ""),
        (state.average.modules, state.average.modules, ".ema"),
    ):
        for name in names:
            if f"{name}{suffix}" not in found.modules():
                raise UserError(f"{found.path} lacks the part {name}{suffix}; it belongs to another kind of run")
            checkpoint.fill(modules[name], found.tensors(f"{name}{suffix}"), f"{found.path}/{name}{suffix}")
    for name, values in found.optimisers().items():
        state.optimisers[name].load_state_dict(values)


def _begin_with(task: Task, state: State, path: Path) -> None:
    """Take over only weights, averaged ones where there are, for a new run; what this run freezes stays its own."""
    found = checkpoint.read(path, option="--init-from")
    parts = set(found.modules())
    shared = [name for name in state.modules if name in parts]
    if not shared:
        raise UserError(f"--init-from {path}: holds {', '.join(sorted(parts))}, nothing that {task.name} trains")
    for name in shared:
        part = f"{name}.ema" if f"{name}.ema" in parts else name
        tensors = {**found.tensors(part), **_frozen(state.modules[name])}
        for module in [state.modules[name], *([m] if (m := state.average.modules.get(name)) is not None else [])]:
            checkpoint.fill(module, tensors, f"--init-from {found.path}/{part}")


def _frozen(module: nn.Module) -> dict[str, Tensor]:
    """State of those inner modules that stay in eval mode while the whole is trained."""
    if not module.training:
        return {}
    still = [name for name, inner in module.named_modules() if not inner.training]
    state = module.state_dict()
    return {key: value for key, value in state.items() if any(key.startswith(f"{name}.") for name in still)}


def seed_step(seed: int, images: int, rank: int) -> None:
    """Seed torch's generators for one step, so that their state needs no saving."""
    import numpy as np
    import torch

    words: Any = np.random.SeedSequence([seed, images, rank]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(words))
