"""Picture files named on the command line: read them, name their results, write those at once or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from sketchprep.errors import SampleError, UserError
from sketchprep.io import shards

__all__ = ["read", "targets", "try_folder", "write"]


def targets(inputs: Sequence[Path], out: Path, *, suffix: str = ".png") -> list[Path]:
    """Name one result after each input, where a folder can be made.

    Parameters
    ----------
    inputs : sequence of Path
        Picture files.
    out : Path
        Folder for the results; made with the first of them.
    suffix : str
        Of the results, with its dot.

    Raises
    ------
    UserError
        If two inputs would have one result, a result would overwrite its own input, or the folder cannot be made.
    """
    results = [out / f"{path.stem}{suffix}" for path in inputs]
    seen: dict[Path, Path] = {}
    for path, result in zip(inputs, results, strict=True):
        other = seen.setdefault(result, path)
        if other != path:
            raise UserError(f"{path} and {other} would both become {result}; rename one, or give them another -o")
        if result.exists() and result.resolve() == path.resolve():
            raise UserError(f"{path}: its sketch would overwrite it; give another folder with -o")
    try_folder(out)
    return results


def try_folder(out: Path) -> None:
    """Raise UserError for what cannot be a folder, before any work is done; leave none behind that may stay empty."""
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {out}: cannot be made ({error.strerror}); choose another folder") from None
    with contextlib.suppress(OSError):  # another process may have put something there
        for folder in missing:
            folder.rmdir()


def read(path: Path) -> bytes:
    """Bytes of a picture file, bounded in size.

    Raises
    ------
    SampleError
        If it is missing, a folder, no regular file, too large or cannot be read.
    """
    if path.is_dir():
        raise SampleError("not-a-file", f"it is a folder; name the pictures in it, for instance {path / '*.png'}")
    from sketchprep.datasets.sources.file_tree import Folder

    return Folder(path.resolve().parent).read(path.resolve().name)


def write(data: bytes, target: Path) -> None:
    """Write a result under its name once it is complete.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with shards.atomic(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}); check -o and the space on the disk") from None
