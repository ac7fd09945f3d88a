"""A limit of the machine that no command expects is one sentence with the remedy, and a bug is still a traceback."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sketchprep.cli.main import Main


def run(error: Exception) -> Result:
    def fail() -> None:
        raise error

    group = Main("sketchprep", commands={"work": click.Command("work", callback=fail)})
    return CliRunner().invoke(group, ["work"])


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (MemoryError("std::bad_alloc"), "ulimit -v"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "ulimit -v"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "ulimit -v"),
        (RuntimeError("can't start new thread"), "ulimit -v"),
        (ImportError("_acero.so: failed to map segment from shared object"), "ulimit -v"),
        (OSError(errno.EMFILE, "Too many open files", "plan.parquet"), "ulimit -n"),
        (OSError(errno.ENOSPC, "No space left on device"), "make space"),
    ],
)
def test_limits_are_one_sentence(error: Exception, remedy: str) -> None:
    result = run(error)
    assert result.exit_code == 2
    assert remedy in result.output
    assert len(result.output.splitlines()) == 1


def test_bugs_stay_tracebacks() -> None:
    for error in (ValueError("bad"), OSError(errno.EACCES, "Permission denied")):
        assert run(error).exception is error


def test_a_build_under_ulimit_v_ends_with_a_sentence(tmp_path: Path, frontal: list[Path]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(frontal[0].read_bytes())
    command = [sys.executable, "-m", "sketchprep", "build", "--source", "folder", "--root", str(tmp_path / "photos")]
    done = subprocess.run(
        [
            *command,
            "-o",
            str(tmp_path / "out"),
            "-j1",
            *(f"--set={key}" for key in ("stages={canny: {}}", "sketch=canny", "store=[]")),
        ],
        # So little that loading fails.  With more, libraries of others end the process by themselves where they cannot
        # have memory, which is not ours to word.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (250 << 20, 250 << 20)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert "too little memory" in done.stderr
