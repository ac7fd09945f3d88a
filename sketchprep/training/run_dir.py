"""A run's folder: locked by one process, marked by run.yaml with its settings, resumed from its newest checkpoint."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.core import workdir
from sketchprep.core.config import differing_keys
from sketchprep.core.version import VERSION
from sketchprep.core.yaml_values import read_values
from sketchprep.errors import UserError
from sketchprep.training import checkpoint, devices
from sketchprep.training.logs import STATS, hours
from sketchprep.training.options import FREE
from sketchprep.training.state import State

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import Tensor, nn

    from sketchprep.training.options import Options
    from sketchprep.training.task import Task

__all__ = [
    "Account",
    "Run",
    "account",
    "binding",
    "check_init_from",
    "claim",
    "disk_errors",
    "make",
    "refuse_longer",
    "resume_or_start",
]

MARKER = "run.yaml"


@dataclass(frozen=True)
class Run:
    """A claimed folder.

    Attributes
    ----------
    path : Path
    settings : dict
        What a resumed run must agree in; kept in every checkpoint.
    latest : Checkpoint or None
        Where the run resumes.
    """

    path: Path
    settings: dict[str, Any]
    latest: checkpoint.Checkpoint | None


@dataclass(frozen=True)
class Account:
    """What a run has spent up to some position, as its folder records it; None where that is not known.

    Attributes
    ----------
    hours : float or None
        Of this run alone.
    images_before, hours_before : int, float or None
        Of all runs whose weights led to those that this one was initialised from.
    init_from : Path or None
    machine : str or None
        Where it last ran, ``"cpu, 2 threads"``, without which hours say little.
    """

    hours: float | None
    images_before: int | None = 0
    hours_before: float | None = 0.0
    init_from: Path | None = None
    machine: str | None = None


def account(path: Path, images: int | None = None) -> Account:
    """Read the account of a run, up to so many images if given."""
    try:
        marker = read_values(path / MARKER)
    except (OSError, yaml.YAMLError):
        marker = None
    if not isinstance(marker, dict):
        return Account(hours(path / STATS, images))
    before, source = marker.get("before") or {}, (marker.get("settings") or {}).get("init_from")
    unknown = None if source else 0
    return Account(
        hours(path / STATS, images),
        before.get("images", unknown),
        before.get("hours", unknown),
        Path(source) if source else None,
        _machine(marker.get("machine") or {}),
    )


def _machine(values: dict[str, Any]) -> str | None:
    if "device" not in values:
        return None
    if values["device"] == "cpu":
        return f"cpu, {values.get('threads')} thread{'s' * (values.get('threads') != 1)}"
    return f"{values.get('processes', 1)} × {values['device']}"


def _spent_before(init_from: Path | None) -> dict[str, Any]:
    """Images and hours that went into the weights a run is initialised from."""
    if init_from is None:
        return {"images": 0, "hours": 0.0}
    source = checkpoint.read(init_from, option="--init-from")
    spent = account(source.path.parent.parent, source.images)
    return {
        "images": None if spent.images_before is None else spent.images_before + source.images,
        "hours": None if None in (spent.hours, spent.hours_before) else spent.hours_before + spent.hours,  # type: ignore[operator]
    }


def binding(task: Task, options: Options, processes: int, init_from: Path | None) -> dict[str, Any]:
    """Everything that decides the result of a run, as plain JSON values."""
    values = {
        "task": {"name": task.name, **task.describe()},
        "options": options.binding(processes),
        "init_from": str(init_from) if init_from else None,
    }
    return json.loads(json.dumps(values))


def _marker(path: Path) -> dict[str, Any] | None:
    """Content of ``run.yaml`` of a run that was started here, with or without a checkpoint; None if there is none.

    Raises
    ------
    UserError
        If it is damaged or cannot be read.
    """
    try:
        marker = read_values(path / MARKER)
        dict(marker["settings"])
        return marker
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"--run {path}: cannot be read ({error.strerror}); choose another folder") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise UserError(f"{path / MARKER}: is damaged; choose a new folder with --run") from None


def refuse_longer(folder: Path, images: int) -> None:
    """Raise UserError if a run in a folder, or below it, was started with fewer images: it is not to be lengthened."""
    for path in sorted(folder.rglob(MARKER)):
        before = (_marker(path.parent) or {"settings": {}})["settings"].get("options", {}).get("images", images)
        if before < images:
            raise UserError(
                f"{path.parent}: was started with other settings (images: {before} → {images}), and only runs of one "
                "length compare; use those again, or a new folder with --run"
            )


def make(path: Path) -> None:
    """Create a run's folder; UserError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(workdir.cannot_be_written("--run", path, error)) from None


@contextlib.contextmanager
def claim(
    path: Path, settings: dict[str, Any], how: dict[str, Any], machine: dict[str, Any], init_from: Path | None = None
) -> Iterator[Run]:
    """Lock a run's folder, new or started with the same settings; only `images` may have grown, see `_lengthened`.

    Parameters
    ----------
    path : Path
        Created if missing.
    settings : dict
        See `binding`.
    how, machine : dict
        Recorded, not compared.
    init_from : Path, optional
        Whose account a new run continues.

    Raises
    ------
    UserError
        If the folder holds something else, was started with other settings (the keys are named), is held by another
        process or cannot be written, or if its newest checkpoint is partial.
    """
    marker = _marker(path)
    before = dict(marker["settings"]) if marker else None
    busy = "another process is training there; wait for it, or choose a new one"
    with workdir.claim(path, MARKER, option="--run", busy=busy) as held:
        latest = checkpoint.load_latest(path)
        # Without a checkpoint nothing is lost by starting over, so a mistake in the first command can be mended.
        if latest is not None:
            _refuse_others(path, before, settings)
            _refuse_others(latest.path, latest.settings, settings)
        spent = marker.get("before") if marker and latest is not None else _spent_before(init_from)
        values = {"sketchprep": VERSION, "settings": settings, "how": how, "machine": machine, "before": spent}
        with disk_errors(path):
            held.write(values)
        yield Run(path, settings, latest)


def _refuse_others(path: Path, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    if before is not None and differing_keys(_lengthened(before, now), now):
        raise UserError(
            f"{path}: was started with other settings ({differing_keys(before, now)}); use those again, or start a new "
            "run with --run, from these weights with --init-from if you like"
        )


def _lengthened(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The settings that a run was started with, as those of a longer run if that is what it is resumed as.

    From the checkpoint on the learning rate is the longer run's, so the result is not that of a run that was as long
    from the start, unless the schedule is constant.
    """
    options, images = before.get("options"), now["options"]["images"]
    if not isinstance(options, dict) or not isinstance(options.get("images"), int) or options["images"] >= images:
        return before
    return {**before, "options": {**options, "images": images}}


def disk_errors(path: Path) -> contextlib.AbstractContextManager[None]:
    """Turn an error of the file system while a run is being written into one sentence."""
    return workdir.disk_errors(path, ": it resumes from the last checkpoint")


def check_init_from(run_dir: Path, init_from: Path | None) -> None:
    """Refuse unreadable initial weights before anything expensive happens; a run that resumes needs none."""
    if init_from is not None and checkpoint.load_latest(run_dir) is None:
        checkpoint.read(init_from, option="--init-from")


@contextlib.contextmanager
def resume_or_start(
    task: Task, run_dir: Path, options: Options, fabric: Fabric, init_from: Path | None
) -> Iterator[tuple[Run, State, int]]:
    """Hold a run's folder; yield the run, its state and the images seen so far.

    Only rank 0 claims the folder and writes there; all ranks read the same checkpoint.
    """
    settings = binding(task, options, fabric.world_size, init_from)
    how = options.model_dump(mode="json", include={*FREE, "batch", "accumulate"})
    with contextlib.ExitStack() as stack:
        if fabric.is_global_zero:
            run = stack.enter_context(claim(run_dir, settings, how, devices.machine(fabric), init_from))
            fabric.barrier()
        else:
            fabric.barrier()
            run = Run(run_dir, settings, checkpoint.load_latest(run_dir))
        state = State(task, options, fabric)
        if run.latest is not None:
            _resume(state, run.latest)
        elif init_from is not None:
            _init_from(task, state, init_from)
        yield run, state, run.latest.images if run.latest else 0


def _resume(state: State, latest: checkpoint.Checkpoint) -> None:
    """Load everything: networks, averages, optimisers."""
    for names, modules, suffix in (
        (state.trained, state.modules, ""),
        (state.average.modules, state.average.modules, ".ema"),
    ):
        for name in names:
            part = f"{name}{suffix}"
            if part not in latest.modules():
                raise UserError(f"{latest.path} lacks the part {part}; it belongs to another kind of run")
            checkpoint.fill(modules[name], latest.tensors(part), f"{latest.path}/{part}")
    for name, values in latest.optimisers().items():
        state.optimisers[name].load_state_dict(values)


def _init_from(task: Task, state: State, path: Path) -> None:
    """Load only weights for a new run, averaged ones where there are; what this run freezes keeps its own."""
    source = checkpoint.read(path, option="--init-from")
    parts = set(source.modules())
    shared = [name for name in state.modules if name in parts]
    if not shared:
        raise UserError(f"--init-from {path}: holds {', '.join(sorted(parts))}, nothing that {task.name} trains")
    for name in shared:
        part = f"{name}.ema" if f"{name}.ema" in parts else name
        tensors = {**source.tensors(part), **_frozen(state.modules[name])}
        for module in [state.modules[name], *([m] if (m := state.average.modules.get(name)) is not None else [])]:
            checkpoint.fill(module, tensors, f"--init-from {source.path}/{part}")


def _frozen(module: nn.Module) -> dict[str, Tensor]:
    """State of the inner modules that stay in eval mode while the whole is trained."""
    if not module.training:
        return {}
    frozen = [name for name, inner in module.named_modules() if not inner.training]
    state = module.state_dict()
    return {key: value for key, value in state.items() if any(key.startswith(f"{name}.") for name in frozen)}
