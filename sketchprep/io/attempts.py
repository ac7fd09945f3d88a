"""Calls to a store over a network: tried again while it only stumbles, and turned into one sentence when it does not.

Keys and tokens never enter a message: only the store's own words, shortened, and the URL without credentials.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from sketchprep.errors import UserError

__all__ = ["Gone", "Unsupported", "attempt", "once", "patience", "say"]

Result = TypeVar("Result")
PATIENCE_SECONDS = 300.0
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
# Words of stores that pass by themselves, though some come as a client's error.
_CODES = """
    BadDigest IncompleteBody XAmzContentSHA256Mismatch RequestTimeout InternalError SlowDown ServiceUnavailable
    OperationAborted NoSuchUpload InvalidPart TooManyRequests RequestLimitExceeded Throttling
    EntityTooSmall"""
PASSING = frozenset(_CODES.split())
# Classes of errors by which drivers tell of a broken connection.
_CLASSES = """
    HTTPClientError ClientPayloadError ClientConnectionError ResponseParserError ResponseStreamingError IncompleteRead
    IncompleteReadError FlexibleChecksumError ChecksumError RetryError"""
BROKEN = frozenset(_CLASSES.split())
BUSY = frozenset((errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.EAGAIN))


_brief = threading.local()


class Gone(Exception):
    """There is no such object."""


class Unsupported(Exception):
    """The store, or the package that speaks to it, cannot do what was asked."""


class NoBucket(FileNotFoundError):
    """There is no such bucket."""


class Short(OSError):
    """A transfer broke off."""


def patience() -> float:
    """Seconds for which a call is tried again: ``$SKETCHPREP_STORE_PATIENCE``, else 300."""
    text = os.environ.get("SKETCHPREP_STORE_PATIENCE", "")
    if getattr(_brief, "on", False):
        return 0.0
    try:
        seconds = float(text) if text else PATIENCE_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise UserError(f"SKETCHPREP_STORE_PATIENCE={text}: give seconds from 0 to 86400")
    return seconds


@contextlib.contextmanager
def once() -> Iterator[None]:
    """In this thread, for the block: one try each, for what may be left undone."""
    before, _brief.on = getattr(_brief, "on", False), True
    try:
        yield
    finally:
        _brief.on = before


def attempt(where: str, call: Callable[[], Result], *, seconds: float | None = None) -> Result:
    """Call until it works, with pauses that double, as long as the store only stumbles.

    Parameters
    ----------
    where : str
        The URL, for messages.
    call : callable
        May be called many times.
    seconds : float, optional
        For how long; default `patience`.

    Raises
    ------
    Gone
        If there is no such object.
    FileExistsError
        If there is one already, and `call` asked for a new one.
    UserError
        If the store refuses, or does not recover in time.
    """
    limit = patience() if seconds is None else seconds
    began, delay = 0.0, FIRST_DELAY
    while True:
        try:
            result = call()
        except Exception as error:
            reason = _passing(where, error)
            now = time.monotonic()
            began = began or now
            if now - began + delay > limit:
                if limit:
                    _outage.forget()
                raise UserError(
                    f"{where}: the store did not recover within {limit:g} s ({reason}); run the same command again "
                    "once it answers"
                ) from error
            _outage.begin(where, reason, limit)
            time.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, LONGEST_DELAY)
        else:
            if began:
                _outage.end(where)
            return result


class _Outage:
    """Says once in a process that a store stumbles, and once that it is back."""

    def __init__(self) -> None:
        self._lock, self._since = threading.Lock(), 0.0

    def begin(self, where: str, reason: str, limit: float) -> None:
        with self._lock:
            if not self._since:
                self._since = time.monotonic()
                say(f"{where}: the store does not serve ({reason}); trying again for up to {limit:.0f} s")

    def forget(self) -> None:
        with self._lock:
            self._since = 0.0

    def end(self, where: str) -> None:
        with self._lock:
            if self._since:
                say(f"{where}: the store serves again after {time.monotonic() - self._since:.0f} s")
                self._since = 0.0


_outage = _Outage()


def say(text: str) -> None:
    """Print a line for people beside the progress."""
    print(text, file=sys.stderr, flush=True)


def _passing(where: str, error: Exception) -> str:
    """Why a call failed, if that may pass; raises what will not."""
    words = _words(error)
    code, status = _code(error)
    if isinstance(error, UserError | Gone | FileExistsError | MemoryError):
        raise error
    # A file system that does not know an option of a call fails with one of these.
    if status == 501 or code == "NotImplemented" or isinstance(error, NotImplementedError | TypeError):
        raise Unsupported(f"{where}: {words}") from error
    if isinstance(error, FileNotFoundError):
        if isinstance(error, NoBucket) or code == "NoSuchBucket":
            raise UserError(f"{where}: there is no such bucket ({words}); check the URL") from None
        raise Gone(where) from None
    names = {cls.__name__ for cls in type(error).__mro__}
    if "NoCredentialsError" in names or "PartialCredentialsError" in names:
        raise UserError(
            f"{where}: no credentials were found; set them as the store's own tools expect (for s3: AWS_PROFILE, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        ) from None
    passes = code in PASSING or status in (408, 429) or status >= 500 or bool(names & BROKEN)
    if isinstance(error, PermissionError) and getattr(error, "filename", None) is None and not passes:
        raise UserError(
            f"{where}: the store refuses ({words}); check the credentials in the environment and what they may do"
        ) from None
    if isinstance(error, OSError) and (error.filename or error.errno in (errno.ENOSPC, errno.EDQUOT)):
        raise error  # this machine's own disk
    passes |= isinstance(error, OSError) and not status and error.errno in BUSY
    if passes or isinstance(error, Short | TimeoutError | ConnectionError):
        return f"{code} {words}".strip() if code and code not in words else words
    if isinstance(error, OSError | ValueError) or status or names & {"BotoCoreError"}:
        raise UserError(f"{where}: the store does not take this ({words}); check the URL") from None
    raise error


def _code(error: BaseException | None) -> tuple[str, int]:
    """The store's code and the HTTP status in an error or its causes; empty and 0 where there are none."""
    code, status = "", 0
    while error is not None and not (code or status):
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        for name in ("code", "status"):
            value = getattr(error, name, None)
            status = status or (value if isinstance(value, int) else 0)
        error = error.__cause__
    return code, status or (int(code) if code.isdigit() else 0)


def _words(error: BaseException) -> str:
    text = str(error.args[-1]) if error.args and isinstance(error, OSError) else str(error)
    return " ".join(text.split())[:160] or type(error).__name__
