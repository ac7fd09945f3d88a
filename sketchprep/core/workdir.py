"""Folders that a command fills: locked by one process, marked with what was asked, resumed or refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.io import locks
from sketchprep.io.files import atomic, disk_sentence

__all__ = ["Claim", "Output", "Report", "cannot_be_written", "claim", "claim_output", "disk_errors"]

LOCK = ".lock"


class Claim:
    """A locked folder and the marker file in it that says what the folder holds.

    Attributes
    ----------
    folder : Path
    marker : Path
        A YAML or a JSON file; absent in a new folder.
    """

    def __init__(self, folder: Path, marker: str) -> None:
        self.folder, self.marker = folder, folder / marker

    def write(self, values: Mapping[str, Any]) -> None:
        """Write the marker: plain values, by an atomic rename."""
        if self.marker.suffix == ".json":
            text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        else:
            import yaml

            text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
        with atomic(self.marker) as temporary:
            temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def claim(
    folder: Path,
    marker: str,
    *,
    option: str = "-o",
    busy: str,
    also_busy: Callable[[], None] | None = None,
    lock: str = LOCK,
    parts: Collection[str] = (),
) -> Iterator[Claim]:
    """Make a folder, or take up one that is ours, and keep other processes out of it.

    A process killed at any point leaves a folder that the next one can claim: until the marker is there, the folder
    holds nothing but the lock, `parts` and temporary files of the marker.

    Parameters
    ----------
    folder : Path
    marker : str
        Name of the file that makes a folder ours; without it the folder must be empty.
    option : str
        With which the user named the folder.
    busy : str
        What to say if another process holds it.
    also_busy : callable, optional
        Raises UserError if others than processes with the lock work there, for instance cluster jobs.
    lock : str
        Where the lock lies in it.
    parts : collection of str
        Folders to be made in it.

    Raises
    ------
    UserError
        If the folder holds something else, cannot be written, or is held.
    """
    from filelock import Timeout

    if _is_strange(folder, marker, {Path(lock).parts[0], lock + locks.EXISTENCE, *parts}):
        raise UserError(f"{option} {folder}: the folder holds something else; choose an empty or a new one")
    try:
        for made in ((folder / lock).parent, *(folder / part for part in parts)):
            made.mkdir(parents=True, exist_ok=True)
        held = locks.hold(folder / lock, timeout=0)
    except Timeout:
        raise UserError(f"{option} {folder}: {busy}") from None
    except OSError as error:
        raise UserError(cannot_be_written(option, folder, error)) from None
    with held:
        if also_busy is not None:
            also_busy()
        with disk_errors(folder):
            for leftover in folder.glob(_temporaries(marker)):
                leftover.unlink()
        yield Claim(folder, marker)


def _is_strange(folder: Path, marker: str, ours: Collection[str]) -> bool:
    """Tell whether the folder holds anything that a claim does not leave there, and no marker."""
    try:
        names = [path for path in folder.iterdir() if path.name not in ours]
    except OSError:  # not there yet, or making it will tell
        return False
    # Looked for after the listing: whatever else a holder of the lock writes comes after its marker.
    return any(not path.match(_temporaries(marker)) for path in names) and not (folder / marker).is_file()


def _temporaries(marker: str) -> str:
    """Pattern of the names that `atomic` gives to a marker that is not whole yet."""
    return f".{marker}.*.tmp"


def cannot_be_written(option: str, folder: Path, error: OSError) -> str:
    """One sentence for a folder that cannot even be made."""
    return f"{option} {folder}: cannot be written ({error.strerror or error}); choose another folder"


@contextlib.contextmanager
def disk_errors(folder: Path, hint: str = "") -> Iterator[None]:
    """Turn an error of the file system while a folder is being filled into one sentence, with a hint at its end."""
    try:
        yield
    except OSError as error:
        raise UserError(disk_sentence(folder, error) + hint) from error


@dataclass(frozen=True)
class Output:
    """A claimed folder for the result of one command.

    Attributes
    ----------
    folder : Path
    settings : mapping
        What was asked.
    done : dict or None
        The figures of an earlier run that came to its end, else None.
    """

    folder: Path
    settings: Mapping[str, Any]
    done: dict[str, Any] | None
    _claim: Claim

    def finish(self, result: Mapping[str, Any]) -> None:
        """Mark the folder as finished, with the figures of this run."""
        self._claim.write({"settings": dict(self.settings), "finished": True, "result": dict(result)})


@contextlib.contextmanager
def claim_output(folder: Path, marker: str, settings: Mapping[str, Any]) -> Iterator[Output]:
    """Claim a folder for the result of one command: new, or begun with the same settings.

    Parameters
    ----------
    folder : Path
        Made if need be.
    marker : str
        Name of the JSON file that says what the folder holds.
    settings : mapping
        Plain JSON values: everything that decides what is written.

    Raises
    ------
    UserError
        If the folder holds something else, was begun with other settings, is held by another process, cannot be
        written, or if the disk fills up.
    """
    busy = "another process is writing there; wait for it to end"
    with claim(folder, marker, busy=busy) as held, disk_errors(folder):
        done = _earlier(held, settings)
        if done is None:
            held.write({"settings": dict(settings), "finished": False, "result": {}})
        yield Output(folder, settings, done, held)


def _earlier(held: Claim, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Compare the marker with what is asked now; return the figures of a finished run."""
    if not held.marker.exists():
        return None
    try:
        stored = json.loads(held.marker.read_text(encoding="utf-8"))
        before, finished, result = dict(stored["settings"]), bool(stored["finished"]), dict(stored["result"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{held.marker}: is damaged; choose a new folder with -o") from None
    from sketchprep.core.config import differing_keys

    if differing := differing_keys(before, json.loads(json.dumps(settings))):
        raise UserError(f"-o {held.folder}: holds something made otherwise ({differing}); choose a new folder")
    return result if finished else None


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
