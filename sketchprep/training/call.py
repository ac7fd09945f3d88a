"""What every training takes besides its data and settings, and the way from there to a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from sketchprep.training import devices, run_dir

if TYPE_CHECKING:
    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result
    from sketchprep.training.options import Options
    from sketchprep.training.task import Task

__all__ = ["TrainingCall", "carry_out", "prepare"]

Settings = TypeVar("Settings")


class TrainingCall(TypedDict, total=False):
    """Keyword arguments that all trainings share.

    Attributes
    ----------
    max_minutes : float, optional
        Time budget, see `sketchprep.training.options.Options`.
    seed : int, optional
        Of weights, order and variations.
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dry_run : bool
        Only measure a few steps.
    init_from : path, optional
        Run or checkpoint with weights to initialise from.
    quiet : bool
        No bar and no lines.
    """

    max_minutes: float | None
    seed: int | None
    device: str | None
    dry_run: bool
    init_from: str | Path | None
    quiet: bool


def prepare(
    plan: Callable[..., tuple[Options, Settings]], run: str | Path, call: TrainingCall
) -> tuple[Options, Settings]:
    """Options and settings of a run, resolved for this machine, before any data are opened.

    Parameters
    ----------
    plan : callable
        Takes ``max_minutes``, ``seed`` and ``device`` by name and returns both, see `sketchprep.training.presets.load`.
    run : path
        The run's folder.
    call : TrainingCall

    Raises
    ------
    UserError
        As `plan`; for an unknown device, and for an ``init_from`` that does not go with the folder.
    TypeError
        For an argument that no training takes.
    """
    known = TrainingCall.__annotations__
    if unknown := set(call) - known.keys():
        raise TypeError(f"training takes no argument {min(unknown)!r}; it takes {', '.join(known)}")
    options, settings = plan(**{name: call.get(name) for name in ("max_minutes", "seed", "device")})
    devices.patient_threads()
    run_dir.check_init_from(Path(run), _init_from(call))
    return devices.resolve(options), settings


def carry_out(task: Task, run: str | Path, options: Options, call: TrainingCall) -> Result | Cost:
    """Train by `sketchprep.training.loop.fit`, or with ``dry_run`` only measure."""
    if call.get("dry_run"):
        from sketchprep.training import budget

        return budget.dry_run(task, options)
    from sketchprep.training.loop import fit

    return fit(task, run, options, init_from=_init_from(call), quiet=call.get("quiet", False))


def _init_from(call: TrainingCall) -> Path | None:
    path = call.get("init_from")
    return Path(path) if path else None
