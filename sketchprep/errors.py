"""The two errors that are not bugs: a user's mistake, and a picture that cannot be used."""

from __future__ import annotations

import re

# Options whose argument has another name in Python.
_ARGUMENTS = {"-o": "out", "-j": "jobs", "-k": "k", "--set": "overrides", "--list": "photo_list"}
# Options of the programs that start several processes; Python has no argument for them.
_FOREIGN = {"--gpus-per-node", "--gpus-per-task", "--nproc-per-node", "--ntasks-per-node"}
_CHANGE = re.compile(r"(?<![\w-])--set ([\w.-]+=[^\s,;)]+)")
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[ojk])(?![\w=-])")
_SUBJECT = re.compile(
    r"(?P<option>--[a-z][a-z-]*|-[ojk]) (?P<value>(?<=--set ).+?|\S*?)"
    r"(?=: | (?:belongs|cannot|does|goes|has|holds|is|lies|must|needs) )"
)


class UserError(Exception):
    """A mistake the user can mend.

    Parameters
    ----------
    message : str
        One sentence in the words of the command line: the option or key, the value and the remedy.  Commands stand
        between backticks.

    Attributes
    ----------
    cli_message : str
        The sentence as it is; the command line prints it without a traceback and exits with code 2.

    Notes
    -----
    ``str(error)`` words options as the arguments that Python's callers know.

    >>> error = UserError("--root photos: is no folder; name another with --root, see `sketchprep sources --help`")
    >>> print(error)
    root='photos': is no folder; name another with `root`, see `sketchprep sources --help`
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def cli_message(self) -> str:
        return super().__str__()

    def __str__(self) -> str:
        return _with_arguments(self.cli_message)


def _with_arguments(sentence: str) -> str:
    """Word the options of a sentence as arguments; what stands between backticks is a command and stays."""
    subject = _SUBJECT.match(sentence)
    start = _argument(subject["option"], subject["value"]) if subject else ""
    parts = sentence[subject.end() if subject else 0 :].split("`")
    parts[::2] = [_OPTION.sub(_name, _CHANGE.sub(r"overrides=['\1']", part)) for part in parts[::2]]
    return start + "`".join(parts)


def _argument(option: str, value: str) -> str:
    if option == "--set":
        return f"overrides=[{value!r}]"
    return f"{_named(option)}={value if re.fullmatch(r'-?[0-9]+([.][0-9]+)?', value) else repr(value)}"


def _named(option: str) -> str:
    return _ARGUMENTS.get(option) or option.removeprefix("--").replace("-", "_")


def _name(found: re.Match[str]) -> str:
    return found[0] if found[0] in _FOREIGN else f"`{_named(found[0])}`"


class SampleError(Exception):
    """One picture cannot be used; the batch goes on and the reason becomes a row of ``failures.parquet``.

    Parameters
    ----------
    kind : str
        Short stable word, for instance ``"truncated"`` or ``"pose"``; rows are counted by it.
    message : str
        One sentence with the figure that decided and, where there is one, the remedy.
    rejected : bool
        True if the picture is sound but not wanted (a turned head, two faces), False if it could not be processed.
    """

    def __init__(self, kind: str, message: str, *, rejected: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.rejected = rejected

    def __reduce__(self) -> tuple:
        # Exceptions travel between processes; the default pickling would lose the keyword.
        return _sample_error, (self.kind, self.message, self.rejected)


def _sample_error(kind: str, message: str, rejected: bool) -> SampleError:
    return SampleError(kind, message, rejected=rejected)
