"""Nodes that fail, one by one in this process: a full disk, a folder that cannot be written, clocks, late names.

The tasks of a submission run here, as nodes would run them, against commands of Slurm's that only record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_builds import build, promised

from sketchprep.cli.main import main
from sketchprep.datasets import status
from sketchprep.datasets.build import slurm, slurm_task
from sketchprep.errors import UserError

YEARS = 10 * 365 * 86_400


def send(photos: Path, out: Path, *words: str) -> tuple[Path, int]:
    """Submit; return the submission's file and the number of its tasks."""
    sent = build(photos, out, executor="slurm", slurm=["cpus=1", "settle=30", *words], jobs=None).submitted
    assert sent is not None
    return slurm.folder_of(out) / f"{sent.script.name.partition('.')[0]}.json", sent.tasks


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder one that cannot be written, for root too."""
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    commands = [["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder]]
    done = [subprocess.run(command, check=False, capture_output=True).returncode for command in commands]
    try:
        if any(done):
            pytest.skip("a read-only mount needs more rights than this root has")
        yield
    finally:
        if not done[0]:
            subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_on_one_node_costs_that_nodes_shard(
    recorded: Path, built: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "data"
    spec, tasks = send(photos, out)
    assert tasks == 4

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for index in range(4):
        with monkeypatch.context() as node:
            if index != 1:
                slurm_task.run(spec, index)
                continue
            node.setattr(os, "fsync", full)
            with pytest.raises(UserError, match="is full; make space and run the same command again"):
                slurm_task.run(spec, index)
    found = status.status(out)
    assert found.complete == 3
    assert "1 tasks ended: the disk that holds" in status.summary(found)
    assert not list((out / "shards").glob(".*")), "nothing half written is left"
    spec, tasks = send(photos, out)
    assert tasks == 1
    slurm_task.run(spec, 1)
    assert slurm_task.merge(spec)
    assert promised(out) == promised(built)
    assert "tasks ended" not in status.summary(status.status(out))


def test_an_output_that_is_read_only_is_one_sentence_everywhere(recorded: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    spec, _ = send(photos, out)
    slurm_task.run(spec, 0)
    with read_only(out):
        with pytest.raises(UserError, match="cannot be written"):
            slurm_task.run(spec, 1)
        with pytest.raises(UserError, match="cannot be written"):
            build(photos, out)
        with pytest.raises(UserError, match="cannot be written"):
            build(photos, out / "new")
        done = CliRunner().invoke(main, ["cancel", str(out)])
        assert (done.exit_code, "cannot be written" in done.output) == (2, True)
        assert status.status(out).complete == 1, "looking needs no writing"


def test_times_of_files_decide_nothing(recorded: Path, built: Path, photos: Path, tmp_path: Path) -> None:
    """Node, file server and login node disagree by years about when each file was written."""
    out = tmp_path / "data"
    spec, _ = send(photos, out)
    slurm_task.run(spec, 0)
    slurm_task.run(spec, 1)
    for number, path in enumerate(sorted(p for p in out.rglob("*") if p.is_file() and p.name != "lock")):
        moment = time.time() + (YEARS if number % 2 else -YEARS)
        os.utime(path, (moment, moment))
    finished = {p: p.stat().st_mtime_ns for p in (out / "shards").iterdir()}
    assert len(finished) == 4
    spec, tasks = send(photos, out)
    assert tasks == 2, "finished shards are finished, whatever their age"
    for index in range(4):
        slurm_task.run(spec, index)
    assert slurm_task.merge(spec)
    assert promised(out) == promised(built)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert status.status(out).complete == 4


def test_names_that_other_nodes_see_late_are_waited_for(
    recorded: Path, built: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system shows a rename to another node only after seconds."""
    out = tmp_path / "data"
    spec, tasks = send(photos, out, "shards_per_task=4")
    assert tasks == 1
    at_once, late = os.replace, []

    def replace(old: str | Path, new: str | Path) -> None:
        if Path(new).parent.name != "shards":
            at_once(old, new)
            return
        late.append(threading.Timer(2, at_once, (old, new)))
        late[-1].start()

    monkeypatch.setattr(os, "replace", replace)
    slurm_task.run(spec, 0)
    assert not list((out / "shards").glob("[!.]*")), "the last node's files cannot be seen yet"
    assert slurm_task.merge(spec)
    for timer in late:
        timer.join()
    assert len(late) == 2 * 4, "nothing was made twice"
    assert promised(out) == promised(built)


def test_names_that_never_come_are_not_waited_for_for_ever(
    recorded: Path, photos: Path, tmp_path: Path, capsys
) -> None:
    spec, _ = send(photos, tmp_path / "data", "settle=1")
    assert not slurm_task.merge(spec)
    assert "4 of 4 shards are not there (first: test-000000)" in capsys.readouterr().out
