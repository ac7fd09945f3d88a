"""Locks on file systems that know flock and on such that do not."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout

from sketchprep.core import workdir
from sketchprep.errors import UserError
from sketchprep.io import locks

HOLDER = """
import fcntl, os, sys
from pathlib import Path
from sketchprep.io import locks
def none(*_):
    raise OSError(int(sys.argv[2]), "no such lock")
fcntl.flock = none
held = locks.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
os._exit(0)  # as if it were killed: nothing is released
"""


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_without_flock_a_files_existence_is_the_lock(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    words = [sys.executable, "-c", HOLDER, str(tmp_path / ".lock"), str(code)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match="somebody is at work"),
            workdir.claim(tmp_path, "m", busy="somebody is at work"),
        ):
            pass
        other.communicate("")
    # What a holder that was killed left behind holds nobody off.
    for _ in range(2):
        with workdir.claim(tmp_path, "m", busy=""), pytest.raises(Timeout):
            locks.hold(tmp_path / ".lock", timeout=0)


def test_other_errors_are_not_taken_for_a_missing_flock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        locks.hold(tmp_path / "file" / "lock", timeout=0)
