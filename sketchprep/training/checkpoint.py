"""Checkpoints: folders of named parts with their checksums, written under a temporary name and renamed.

``RUN/checkpoints/000012000/`` is named by the images seen and holds ``NAME.safetensors`` for each trained module,
``NAME.ema.safetensors`` for each average, ``NAME.optimiser.pt`` (readable with ``weights_only=True``) for each
optimiser, and ``state.json`` with the position, the run's settings, scores and the sha256 of every part.  The state
of random generators is no part: every step seeds them from the run's seed and its position.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = ["Checkpoint", "fill", "load_latest", "path_of", "prune", "read", "read_run_of", "save", "smallest"]

FOLDER, STATE, FORMAT = "checkpoints", "state.json", "sketchprep-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the disk, its parts not yet read.

    Attributes
    ----------
    path : Path
    images : int
        Position in the run.
    task : str
    settings : dict
        What the run was started with.
    scores : dict of str to float
    files : dict of str to str
        Sha256 by file name.
    """

    path: Path
    images: int
    task: str
    settings: dict[str, Any]
    scores: dict[str, float]
    files: dict[str, str]

    def modules(self) -> list[str]:
        """Names of the parts that hold tensors."""
        return sorted(name.removesuffix(".safetensors") for name in self.files if name.endswith(".safetensors"))

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Read the tensors of a module (``NAME``) or an average (``NAME.ema``)."""
        from safetensors.torch import load

        return load(self._bytes(f"{part}.safetensors"))

    def optimisers(self) -> dict[str, dict[str, Any]]:
        """Read the optimisers' states by phase name."""
        import torch

        names = sorted(name for name in self.files if name.endswith(".optimiser.pt"))
        return {
            name.removesuffix(".optimiser.pt"): torch.load(io.BytesIO(self._bytes(name)), "cpu", weights_only=True)
            for name in names
        }

    def _bytes(self, name: str) -> bytes:
        try:
            data = (self.path / name).read_bytes()
        except OSError as error:
            raise _partial(self.path, f"{name} cannot be read ({error.strerror})") from None
        if hashlib.sha256(data).hexdigest() != self.files.get(name):
            raise _partial(self.path, f"{name} is not what was written")
        return data


def path_of(run: Path, images: int) -> Path:
    """Folder of the checkpoint at a position of a run."""
    return run / FOLDER / f"{images:09d}"


def save(
    run: Path,
    parts: Mapping[str, Mapping[str, Any]],
    *,
    images: int,
    task: str,
    settings: Mapping[str, Any],
    scores: Mapping[str, float] | None = None,
) -> Path:
    """Write a checkpoint under a temporary name, then rename it into place.

    Parameters
    ----------
    run : Path
        Folder of the run.
    parts : mapping
        See `State.parts`.

    Returns
    -------
    Path

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; nothing partial is left behind.
    """
    target = path_of(run, images)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        files = {}
        for name, values in parts.items():
            file, data = _encode(name, values)
            files[file] = hashlib.sha256(data).hexdigest()
            _write(temporary / file, data)
        state = {"format": FORMAT, "task": task, "images": images, "scores": dict(scores or {}), "files": files}
        text = json.dumps({**state, "settings": settings}, indent=1, ensure_ascii=False)
        _write(temporary / STATE, text.encode())
        _sync_folder(temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def _encode(name: str, values: Mapping[str, Any]) -> tuple[str, bytes]:
    # In memory first: libraries that write files themselves report a full disk each in another way.
    if name.endswith(".optimiser"):
        import torch

        buffer = io.BytesIO()
        torch.save(dict(values), buffer)
        return f"{name}.pt", buffer.getvalue()
    from safetensors.torch import save as encode

    return f"{name}.safetensors", encode({key: value.detach().cpu().contiguous() for key, value in values.items()})


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path, *, option: str = "") -> Checkpoint:
    """Open one checkpoint and check that its parts are there.

    Parameters
    ----------
    path : Path
        A checkpoint's folder, or a run's: then its newest.
    option : str
        With which the user named it.

    Raises
    ------
    UserError
        If it is missing, partial or something else.
    """
    where = f"{option} {path}".strip()
    if not path.is_dir():
        raise UserError(f"{where}: there is no such run; name a run's folder, or one of its checkpoints")
    if (path / FOLDER).is_dir():
        latest = load_latest(path)
        if latest is None:
            raise UserError(f"{where}: the run holds no checkpoint yet; name another run")
        return latest
    if path.parent.name != FOLDER and not (path / STATE).exists():
        raise UserError(f"{where}: is no run that has checkpoints; name a run's folder, or one of its checkpoints")
    try:
        values = json.loads((path / STATE).read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise KeyError
        opened = Checkpoint(path, *(values[k] for k in ("images", "task", "settings", "scores", "files")))
        sound = isinstance(opened.images, int) and all(Path(n).name == n for n in opened.files)
    except OSError as error:
        raise _partial(path, f"{STATE} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise UserError(f"{path} is not a checkpoint of sketchprep; name a run or a folder under its checkpoints/")
    missing = [name for name in opened.files if not (path / name).is_file()]
    if missing:
        raise _partial(path, f"{missing[0]} is missing")
    return opened


def read_run_of(task: str, run: Path, command: str) -> Checkpoint:
    """Open the newest checkpoint of a run of one task, or one of its checkpoints.

    Raises
    ------
    UserError
        As `read`, and for a run of another task, naming the command that makes the right ones.
    """
    found = read(run)
    if found.task != task:
        raise UserError(f"{run}: is a run of {found.task}; name one of `sketchprep {command}`")
    return found


def _partial(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is no whole checkpoint: {reason}; remove that folder to resume from the one before")


def _folders(run: Path) -> list[Path]:
    return sorted(p for p in (run / FOLDER).glob("*") if p.is_dir() and p.name.isdecimal())


def load_latest(run: Path) -> Checkpoint | None:
    """Open the newest checkpoint of a run, or return None if there is none.

    Raises
    ------
    UserError
        If the newest one is partial or foreign: it is named, and nothing older is taken silently.
    """
    folders = _folders(run)
    return read(folders[-1]) if folders else None


def smallest(run: Path, score: str) -> Checkpoint | None:
    """The checkpoint of a run in which a score was smallest; None if none has it.  Partial ones are skipped."""
    found = []
    for folder in _folders(run):
        with contextlib.suppress(UserError):
            found.append(read(folder))
    return min((one for one in found if score in one.scores), key=lambda one: one.scores[score], default=None)


def prune(run: Path, *, keep: int, best: str | None = None) -> None:
    """Remove all but the newest `keep` checkpoints and the one whose score `best` is smallest."""
    old = _folders(run)[:-keep]
    kept = smallest(run, best) if best is not None and old else None
    for path in [*old, *(run / FOLDER).glob(".*.tmp")]:
        if kept is None or path != kept.path:
            shutil.rmtree(path, ignore_errors=True)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load tensors into a module after comparing names and shapes.

    Parameters
    ----------
    where : str
        Named in the message: file and part.

    Raises
    ------
    UserError
        Naming the first tensor that differs.
    """
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    odd = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
    if odd:
        raise UserError(
            f"{where} belongs to another network: {odd[0]} has shape {given.get(odd[0], 'missing')}, "
            f"expected {expected.get(odd[0], 'nothing of that name')}; use the preset it was trained with"
        )
    module.load_state_dict(dict(tensors))
