"""Files: atomic writes, bounded reads, and the results of commands that take pictures."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sketchprep.errors import SampleError, UserError

__all__ = [
    "MAX_BYTES",
    "atomic",
    "commit",
    "disk_sentence",
    "expanded",
    "limit_sentence",
    "process_name",
    "read",
    "read_regular",
    "targets",
    "temporary_beside",
    "try_folder",
    "users_temporary_folder",
    "write",
    "write_named",
    "write_once",
]

MAX_BYTES = 512 * 2**20

# What OpenCV, dlib, PyTorch, DuckDB and the dynamic loader say where Python would raise MemoryError.
_NO_MEMORY = re.compile(
    "allocate memory|insufficient memory|bad.alloc|failed to (map segment|allocate)|can't start new thread",
    re.IGNORECASE,
)
MAX_NAME = 255  # bytes of a file name on every common file system
# What a file system says of a name; anything else concerns the folder or the disk.
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR)


def process_name() -> str:
    """Name of this process among all that may share a folder, on this machine and on others."""
    return f"{platform.node()}-{os.getpid()}"


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` led home; where the system knows no home it stays, and names a folder that is not there."""
    return Path(os.path.expanduser(path))  # Path's own method would raise RuntimeError there


def users_temporary_folder() -> Path:
    """A folder of this user's own under the system's temporary one, made if need be.

    Raises
    ------
    UserError
        If it cannot be made, or belongs to somebody else.
    """
    folder = Path(tempfile.gettempdir()) / f"sketchprep-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid == os.getuid():
            return folder
        fault = "it belongs to somebody else"
    except OSError as error:
        fault = error.strerror or str(error)
    raise UserError(f"{folder} cannot be used ({fault}); set TMPDIR or SKETCHPREP_CACHE to a folder of your own")


def temporary_beside(path: Path) -> Path:
    """Name of the unfinished `path`: hidden, this process' own, and legal wherever the finished name is."""
    ending = f".{process_name()}.tmp"
    name = f".{path.name}{ending}"
    if len(os.fsencode(name)) > MAX_NAME:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{ending}"
    return path.with_name(name)


class atomic:
    """Context manager: gives a temporary path beside `path`, then fsyncs and renames it, or removes it on error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = temporary_beside(path)

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        commit(self.temporary, self.path)


def commit(temporary: Path, path: Path) -> None:
    """Push a finished file to the disk and rename it to `path`, with the mode of any new file."""
    try:
        with temporary.open("rb") as file:
            _open_to_others(file.fileno())
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _open_to_others(file: int) -> None:
    """Give a file the mode of any new one; safetensors makes files for their owner alone."""
    if stat.S_IMODE(os.fstat(file).st_mode) != 0o600:
        return
    # The umask can only be read by setting it: what another thread makes just now is closed to others, not open.
    umask = os.umask(0o077)
    os.umask(umask)
    with contextlib.suppress(OSError):  # a file system without modes
        os.fchmod(file, 0o666 & ~umask)


def write_once(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or not there, making its folder if need be.

    Unlike `atomic` it does not wait for the disk: an export of many small files can be run again.
    """
    temporary = temporary_beside(path)
    try:
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def disk_sentence(out: Path, error: OSError) -> str:
    """One sentence for an error of the file system while a folder is being filled."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk that holds {out} is full; make space and run the same command again"
    if limit := limit_sentence(error):
        return limit
    return f"{out} cannot be written ({error.strerror or error}); mend that and run the same command again"


def limit_sentence(error: Exception) -> str | None:
    """One sentence for a limit of the machine or of the user's account; None if an error is about something else."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit (`ulimit -n 4096`) and run the same command again"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make space and run the same command again"
    if number == errno.ENOMEM or isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        remedy = "raise its limit (`ulimit -v`, Slurm's `--mem`) or use fewer jobs, and run the same command again"
        return f"the process has too little memory; {remedy}"
    return None


def read_regular(path: str | Path, name: str, *, limit: int = MAX_BYTES) -> bytes:
    """Bytes of a regular file; a pipe, a device or a link is not opened.

    Parameters
    ----------
    path : str or Path
        Without links, see `os.path.realpath`.
    name : str
        What to call the file in a message.
    limit : int
        Largest size in bytes.

    Raises
    ------
    SampleError
        Kinds ``"missing"``, ``"unreadable"``, ``"not-a-file"``, ``"too-large"`` and ``"out-of-memory"``.
    UserError
        If no more files may be opened, which no other file would change.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return _read_open(handle, name, limit)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise SampleError("missing", f"{name!r} is not there") from None
    except MemoryError:
        raise SampleError(
            "out-of-memory", f"{name!r} does not fit into memory; raise its limit, and build with --retry-failed"
        ) from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE) and (message := limit_sentence(error)):
            raise UserError(message) from None
        raise SampleError("unreadable", f"{name!r} cannot be read: {error.strerror or error}") from None


def _read_open(handle: int, name: str, limit: int) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise SampleError("not-a-file", f"{name!r} is not a regular file")
    if status.st_size > limit:
        raise SampleError("too-large", f"{name!r} has {status.st_size:,} bytes; the limit is {limit:,}")
    with open(handle, "rb", closefd=False) as file:
        # A file that grows meanwhile is cut here and fails to decode.
        return file.read(status.st_size)


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
    real = os.path.realpath(path)
    return read_regular(real, os.path.basename(real))


def write(data: bytes, target: Path) -> None:
    """Write a result under its name once it is complete.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        sentence = f"{target} cannot be written ({error.strerror or error}); check -o and the space on the disk"
        raise UserError(sentence) from error


def write_named(data: bytes, target: Path) -> None:
    """Write a result that is named after its input; a name that the file system refuses fails that input alone.

    Raises
    ------
    SampleError
        Kind ``"name"``: the name is too long here, or belongs to a folder.
    UserError
        As `write`.
    """
    try:
        write(data, target)
    except UserError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _NAME_ERRORS:
            raise SampleError(
                "name", f"{target.name!r} cannot be written ({cause.strerror}); rename the picture"
            ) from None
        raise
