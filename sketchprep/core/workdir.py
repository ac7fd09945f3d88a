"""Folders that a command fills: claimed by one process, marked with what was asked, finished or begun anew."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.io.files import atomic, disk_sentence

__all__ = ["Claim", "ParquetStream", "Report", "claim", "hold_alone"]

LOCK = ".lock"


@dataclass(frozen=True)
class Report:
    """What a command left in a folder.

    Attributes
    ----------
    out : Path
        The folder.
    written, skipped, failed : int
        Pictures or pairs written now, found there already, and unusable (see ``failures.parquet`` in the folder).
    command : str
        What to run next: the training command of the peer; empty if there is none.
    notes : tuple of str
        Sentences that a reader of the result should know.
    """

    out: Path
    written: int = 0
    skipped: int = 0
    failed: int = 0
    command: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)

    def text(self) -> str:
        """Describe the result in a few lines."""
        counts = [f"{self.written:,} written"]
        counts += [f"{self.skipped:,} there already"] if self.skipped else []
        counts += [f"{self.failed:,} failed, see failures.parquet"] if self.failed else []
        return "\n".join([f"{self.out}: {', '.join(counts)}", *self.notes, *([self.command] if self.command else [])])


class Claim:
    """A folder held by this process, with the marker file that says what it holds.

    Attributes
    ----------
    out : Path
    done : dict or None
        The figures of an earlier run that came to its end, else None.
    """

    def __init__(self, out: Path, marker: str, settings: Mapping[str, Any], done: dict[str, Any] | None) -> None:
        self.out, self.done = out, done
        self._path, self._settings = out / marker, dict(settings)

    def write(self, result: Mapping[str, Any] | None = None) -> None:
        """Write the marker: begun, or with `result` finished."""
        values = {"settings": self._settings, "finished": result is not None, "result": dict(result or {})}
        with atomic(self._path) as temporary:
            temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def claim(out: Path, marker: str, settings: Mapping[str, Any]) -> Iterator[Claim]:
    """Hold a folder alone, new or begun with the same settings.

    Parameters
    ----------
    out : Path
        Made if need be.
    marker : str
        Name of the file that says what the folder holds.
    settings : mapping
        Plain JSON values: everything that decides what is written.

    Raises
    ------
    UserError
        If the folder holds something else, was begun with other settings, is held by another process, cannot be
        written, or if the disk fills up.
    """
    busy = "another process is writing there; wait for it to end"
    with hold_alone(out, marker, option="-o", busy=busy):
        try:
            held = Claim(out, marker, settings, _earlier(out, marker, settings))
            if held.done is None:
                held.write()
            yield held
        except OSError as error:
            raise UserError(disk_sentence(out, error)) from error


@contextlib.contextmanager
def hold_alone(
    folder: Path, marker: str, *, option: str, busy: str, lock: str = LOCK, parts: Collection[str] = ()
) -> Iterator[None]:
    """Make a folder, or take up one that is ours, and keep other processes out of it.

    Parameters
    ----------
    folder : Path
    marker : str
        Name of the file that makes a folder ours; without it the folder must be empty, but for `lock` and `parts`.
    option : str
        With which the user named the folder.
    busy : str
        What to say if another process holds it.
    lock : str
        Where the lock lies in it.
    parts : collection of str
        Folders to be made in it.

    Raises
    ------
    UserError
        If the folder holds something else, cannot be written, or is held.
    """
    import filelock

    ours = {Path(lock).parts[0], *parts}

    def strange() -> bool:
        return folder.exists() and any(p.name not in ours for p in folder.iterdir()) and not (folder / marker).is_file()

    foreign = f"{option} {folder}: the folder holds something else; choose an empty or a new one"
    try:
        # Without a lock nothing is made in it; with one, it may be ours and on the way to its marker.
        if strange() and not (folder / lock).is_file():
            raise UserError(foreign)
        for made in ((folder / lock).parent, *(folder / part for part in parts)):
            made.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(folder / lock)
        held.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{option} {folder}: {busy}") from None
    except OSError as error:
        raise UserError(cannot_be_written(option, folder, error)) from None
    try:
        if strange():
            raise UserError(foreign)
        yield
    finally:
        held.release()


def cannot_be_written(option: str, folder: Path, error: OSError) -> str:
    """One sentence for a folder that cannot even be begun."""
    return f"{option} {folder}: cannot be written ({error.strerror or error}); choose another folder"


def _earlier(out: Path, marker: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Compare the marker with what is asked now; return the figures of a finished run."""
    path = out / marker
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        before, finished, result = dict(stored["settings"]), bool(stored["finished"]), dict(stored["result"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is damaged; choose a new folder with -o") from None
    from sketchprep.core.config import differences

    differing = differences(before, json.loads(json.dumps(settings)))
    if differing:
        raise UserError(f"-o {out}: holds something made otherwise ({'; '.join(differing[:8])}); choose a new folder")
    return result if finished else None


class ParquetStream:
    """Write rows to a Parquet file in groups, so that memory does not grow with their number.

    Parameters
    ----------
    path : Path
        Written directly; give a temporary one.
    schema : pyarrow.Schema
    group : int
        Rows a group.
    """

    def __init__(self, path: Path, schema: Any, group: int = 8192) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema, self._group = schema, group
        self._rows: list[dict[str, Any]] = []
        self.count = 0

    def add(self, **row: Any) -> None:
        """Append one row."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= self._group:
            self._flush()

    def close(self) -> None:
        """Write what is left and finish the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()
