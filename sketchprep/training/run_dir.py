"""A run's folder: held by one process, marked by run.yaml with what it was begun with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.core.version import VERSION
from sketchprep.core.workdir import cannot_be_written, hold_alone
from sketchprep.errors import UserError
from sketchprep.io.files import atomic, disk_sentence
from sketchprep.sketching.recipe import differences
from sketchprep.training import checkpoint

if TYPE_CHECKING:
    from sketchprep.training.options import Options
    from sketchprep.training.task import Task

__all__ = ["Run", "binding", "claim", "disk_errors", "make", "stored"]

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
        Where the run goes on.
    """

    path: Path
    settings: dict[str, Any]
    latest: checkpoint.Checkpoint | None


def binding(task: Task, options: Options, processes: int, init_from: Path | None) -> dict[str, Any]:
    """All that decides the result of a run, as plain JSON values."""
    values = {
        "task": {"name": task.name, **task.describe()},
        "options": options.binding(processes),
        "init_from": str(init_from) if init_from else None,
    }
    return json.loads(json.dumps(values))


def stored(path: Path) -> dict[str, Any] | None:
    """Settings of a run that was begun in this folder, whether it has a checkpoint or not, else None.

    Raises
    ------
    UserError
        If its run.yaml is damaged.
    """
    try:
        return dict(yaml.safe_load((path / MARKER).read_text(encoding="utf-8"))["settings"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"--run {path}: cannot be read ({error.strerror}); choose another folder") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path / MARKER}: is damaged; choose a new folder with --run") from None


def make(path: Path) -> None:
    """Make a run's folder before anything is written there; UserError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(cannot_be_written("--run", path, error)) from None


@contextlib.contextmanager
def claim(path: Path, settings: dict[str, Any], how: dict[str, Any], machine: dict[str, Any]) -> Iterator[Run]:
    """Hold a run's folder alone, new or begun with the same settings.

    Parameters
    ----------
    path : Path
        Made if need be.
    settings : dict
        See `binding`.
    how, machine : dict
        Recorded, not compared.

    Raises
    ------
    UserError
        If the folder holds something else, was begun with other settings (the keys are named), is held by another
        process or cannot be written, or if its newest checkpoint is partial.
    """
    before = stored(path)
    busy = "another process is training there; wait for it, or choose a new one"
    with hold_alone(path, MARKER, option="--run", busy=busy):
        latest = checkpoint.load_latest(path)
        # Without a checkpoint nothing is lost by beginning anew, and a mistake in the first command can be mended.
        if latest is not None:
            _refuse_others(path, before, settings)
            _refuse_others(latest.path, latest.settings, settings)
        with disk_errors(path):
            _write(path / MARKER, {"sketchprep": VERSION, "settings": settings, "how": how, "machine": machine})
        yield Run(path, settings, latest)


def _refuse_others(path: Path, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    differing = differences(before, now) if before is not None else []
    if differing:
        shown = "; ".join(differing[:8]) + (f"; and {len(differing) - 8} more" if len(differing) > 8 else "")
        raise UserError(
            f"{path}: was begun with other settings ({shown}); use those again, or begin a new run with --run, "
            "from these weights with --init-from if you like"
        )


def _write(path: Path, values: dict[str, Any]) -> None:
    with atomic(path) as temporary:
        temporary.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the file system while a run is being written into one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{disk_sentence(path, error)}: it goes on from the last checkpoint") from error
