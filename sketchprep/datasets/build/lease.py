"""One build at a time for a URL: a lock object, created only where none is, and renewed while the build lives.

Clocks are never compared: a lock whose text no longer changes belongs to nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sketchprep.errors import UserError
from sketchprep.io import object_store
from sketchprep.io.attempts import Gone, Unsupported, once, say
from sketchprep.io.object_store import Url

__all__ = ["lease"]

BEAT_SECONDS = 10.0
SILENT_BEATS = 4
LAST_BEAT_SECONDS = 30.0  # a beat under way must not land after the next build took the lock
LOCK, STOP = "log/lock", "log/stop"
_LIVE: set[str] = set()  # tokens of this process


@contextlib.contextmanager
def lease(url: Url, stop: Path) -> Iterator[None]:
    """Hold a URL alone.

    Parameters
    ----------
    url : Url
        The dataset.
    stop : Path
        File that stops the build on this machine; written should another build take the lock all the same, and passed
        on to machines that see only the store.

    Raises
    ------
    UserError
        If another build holds it.
    """
    holder = _Holder(url, stop)
    holder.take()
    thread = threading.Thread(target=holder.beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        holder.ended.set()
        thread.join(LAST_BEAT_SECONDS)
        holder.release()


class _Holder:
    def __init__(self, url: Url, stop: Path) -> None:
        self.url, self.stop = url, stop
        self.ended = threading.Event()
        self._token, self._beats = secrets.token_hex(8), 0
        _LIVE.add(self._token)

    def take(self) -> None:
        found = self._read()
        if found is not None:
            self._wait_or_refuse(found)
            object_store.remove(self.url / LOCK)
        self._create()

    def _create(self) -> None:
        try:
            object_store.write(self.url / LOCK, self._text(), new=True)
        except FileExistsError:  # a repeated request may meet its own first try
            if not self._mine():
                self._refuse(self._read() or {})
        except Unsupported:
            self._without_conditions()
            return
        try:
            object_store.write(self.url / LOCK, self._text(), new=True)
        except FileExistsError:
            return
        self._without_conditions()

    def _without_conditions(self) -> None:
        """Stores that cannot create only what is not there: the last of several writers goes on."""
        say(f"{self.url}: this store has no conditional writes; see to it yourself that only one build writes there")
        object_store.write(self.url / LOCK, self._text())
        time.sleep(2)
        if not self._mine():
            self._refuse(self._read() or {})

    def _wait_or_refuse(self, found: dict[str, Any]) -> None:
        """Refuse if the holder lives; return if it is dead or silent."""
        if found.get("host") == platform.node() and found.get("boot") == _boot():
            pid, token = found.get("pid"), found.get("token")
            if token in _LIVE if pid == os.getpid() else Path(f"/proc/{pid}").exists():
                self._refuse(found)
            return
        say(f"{self.url}: a build on {found.get('host', 'another machine')} holds it; looking whether it is alive")
        for _ in range(SILENT_BEATS * 2):
            time.sleep(BEAT_SECONDS / 2)
            now = self._read()
            if now is None:
                return
            if now != found:
                self._refuse(now)

    def _refuse(self, found: dict[str, Any]) -> None:
        who = f" (process {found['pid']} on {found['host']})" if "pid" in found and "host" in found else ""
        raise UserError(
            f"-o {self.url}: another build is at work there{who}; follow it with `sketchprep status --watch {self.url}`"
        )

    def beat(self) -> None:
        """Renew the lock until the build ends."""
        while not self.ended.wait(BEAT_SECONDS):
            with once(), contextlib.suppress(UserError):
                if self.stop.exists():
                    object_store.write(self.url / STOP, self.stop.read_bytes())
                if not self._mine():
                    say(f"{self.url}: the lock is another build's now; this one stops")
                    self.stop.write_text("cancelled\n")
                    return
                self._beats += 1
                object_store.write(self.url / LOCK, self._text())

    def release(self) -> None:
        """Remove the lock if it still is this build's."""
        _LIVE.discard(self._token)
        with once(), contextlib.suppress(UserError):
            if self._mine():
                object_store.remove(self.url / LOCK)

    def _mine(self) -> bool:
        return (self._read() or {}).get("token") == self._token

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(object_store.read(self.url / LOCK, 0, 10_000))
        except Gone:
            return None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _text(self) -> bytes:
        values = {"host": platform.node(), "pid": os.getpid(), "boot": _boot(), "token": self._token}
        return json.dumps({**values, "beats": self._beats}).encode()


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
