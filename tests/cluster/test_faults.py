"""What goes wrong on clusters: two submissions at once, a worker that hangs, what a dead node leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from quick import QUICK
from slurm_runs import SMALL, assert_nothing_lost_nothing_twice, build, logs, promised, until
from slurm_site import Site

import sketchprep
from sketchprep.datasets import status
from sketchprep.errors import UserError


def test_of_two_submissions_at_once_one_is_refused(site: Site, built: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    out = tmp_path / "data"
    words = ["build", "--recipe", str(tmp_path / "quick.yaml"), "--root", str(photos), "-o", str(out)]
    words += ["--executor", "slurm", *(word for value in SMALL for word in ("--slurm", value))]
    command = [sys.executable, "-m", "sketchprep", *words]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = {process.wait(): process.stderr.read() for process in both}
    assert sorted(errors) == [0, 2], errors
    assert "another build is at work" in errors[2] or "Slurm jobs are at work there" in errors[2]
    site.drain(300)
    assert_nothing_lost_nothing_twice(out, built)


def test_a_worker_that_hangs_is_ended_and_its_shard_made_again(
    site: Site, built: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    build(photos, out, "cpus=2", "shards_per_task=4", "stall=15", "attempts=4")

    def at_work() -> list[int]:
        found = [json.loads(p.read_text()) for p in (out / "log").glob("*.json")]
        return [r["pid"] for r in found if not r["done"]]

    until(at_work, "a shard at work")
    os.kill(at_work()[0], signal.SIGSTOP)
    site.drain(300)
    assert "no photo was finished for 15 s" in logs(out)
    assert_nothing_lost_nothing_twice(out, built)


def test_what_a_dead_node_left_is_made_again(built: Path, photos: Path, tmp_path: Path) -> None:
    """A tar that breaks off, and temporary files of another machine, which may yet be at work on them."""
    out = tmp_path / "data"
    sketchprep.build(recipe=QUICK, root=photos, out=out, jobs=1, quiet=True)
    shards = out / "shards"
    (shards / "train-000000.parquet").unlink()
    whole = (shards / "train-000000.tar").read_bytes()
    (shards / "train-000000.tar").write_bytes(whole[: len(whole) // 3])
    (shards / ".train-000000.node7-4242.tmp").write_bytes(whole[:100])
    (shards / ".train-000000.parquet.node7-4242.tmp").write_bytes(b"")
    assert status.status(out).complete == 3
    sketchprep.build(recipe=QUICK, root=photos, out=out, jobs=1, quiet=True)
    assert promised(out) == promised(built)
    assert not list(shards.glob(".*"))


def test_temporary_files_of_a_twin_on_another_machine_are_left_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sketchprep.datasets.build import worker

    twin, dead = tmp_path / ".train-000000.node7-1.tmp", tmp_path / f".train-000000.{os.uname().nodename}-4194305.tmp"
    twin.touch()
    dead.touch()
    worker._remove_stale(tmp_path, "train-000000")
    assert twin.exists()
    assert not dead.exists()


def test_clocks_that_differ_do_not_hide_who_is_at_work(photos: Path, tmp_path: Path) -> None:
    """A node's own time is an hour off; what counts is the time that the file server gave its file."""
    out = tmp_path / "data"
    sketchprep.build(recipe=QUICK, root=photos, out=out, jobs=1, quiet=True)
    (out / "shards" / "train-000000.parquet").unlink()
    path = out / "log" / "train-000000.json"
    values = json.loads(path.read_text())
    for skew in (-3600, 3600):
        path.write_text(json.dumps({**values, "updated": time.time() + skew, "done": False}))
        assert status.status(out).working == 1
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    assert status.status(out).working == 0


def test_an_output_that_cannot_be_written_is_one_sentence(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        sketchprep.build(recipe=QUICK, root=photos, out=tmp_path / "file" / "data", jobs=1, quiet=True)
