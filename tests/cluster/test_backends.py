"""Builds on the clusters that joblib knows: real Dask and Ray processes, the local build's bytes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from quick import QUICK

import sketchprep
from sketchprep.datasets.reports import read_reports
from sketchprep.errors import UserError


def promised(out: Path) -> dict[str, str]:
    paths = [*(out / n for n in ("index.parquet", "plan.parquet", "recipe.yaml")), *sorted((out / "shards").iterdir())]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def build(photos: Path, out: Path, **options) -> sketchprep.datasets.build.build.Result:
    return sketchprep.build(**{"recipe": QUICK, "root": photos, "out": out, "quiet": True, **options})


def pids(out: Path) -> set[int]:
    return {report["pid"] for report in read_reports(out / "log").values()}


@pytest.fixture
def dask_cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers of one thread, each a process of its own; no nanny mends what a test breaks."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
    log = (tmp_path / "dask.log").open("wb")

    def start(module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *words, "--no-dashboard"]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)

    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2])
    workers = [start("dask_worker", address, "--nthreads", "1", "--no-nanny") for _ in range(2)]
    try:
        from distributed import Client

        with Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        yield address, workers
    finally:
        for process in [*workers, scheduler]:
            process.kill()
        for process in [*workers, scheduler]:
            process.wait()
        log.close()


def test_dask_loses_a_worker_and_the_bytes_are_those_of_a_local_build(
    dask_cluster: tuple[str, list[subprocess.Popen[bytes]]], photos: Path, built: Path, tmp_path: Path
) -> None:
    address, workers = dask_cluster
    out = tmp_path / "data"
    killed = []

    def kill_one() -> None:
        """SIGKILL a worker while it is at work on a shard."""
        while not killed:
            for path in (out / "log").glob("*.json"):
                with contextlib.suppress(OSError, ValueError):
                    report = json.loads(path.read_text())
                    if not report["done"] and report["pid"] in {w.pid for w in workers}:
                        os.kill(report["pid"], signal.SIGKILL)
                        killed.append(path.stem)
                        return
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    build(photos, out, backend="dask", scheduler=address)
    thread.join(10)
    assert killed, "a worker was killed while it worked"
    assert sum(worker.poll() is None for worker in workers) == 1
    assert promised(out) == promised(built)
    assert pids(out) <= {worker.pid for worker in workers}, "no shard was made in the driver"


@pytest.mark.integration
def test_dask_starts_a_cluster_of_its_own_where_no_address_is_given(photos: Path, built: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "data", backend="dask")
    assert promised(tmp_path / "data") == promised(built)
    assert os.getpid() not in pids(tmp_path / "data")


@pytest.mark.integration
def test_ray_makes_the_same_bytes(photos: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    build(photos, tmp_path / "data", backend="ray")
    assert promised(tmp_path / "data") == promised(built)
    assert os.getpid() not in pids(tmp_path / "data")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "spark"}, "backend='spark': unknown; known: dask, ray"),
        ({"scheduler": "tcp://a:1"}, "say whose it is with `backend`"),
        ({"backend": "dask", "executor": "slurm"}, "goes with `executor` joblib, not with slurm"),
        ({"backend": "dask", "jobs": 2}, "leave `jobs` out"),
        ({"slurm": ["time=10"]}, "slurm='time=10': goes with `executor` slurm"),
    ],
)
def test_words_that_do_not_go_together_are_refused(options: dict, message: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        build(photos, tmp_path / "data", **options)


def test_a_scheduler_that_does_not_answer_is_named(photos: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sketchprep.cluster.joblib_backends.CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match=r"scheduler='tcp://127\.0\.0\.1:9': no Dask scheduler answers"):
        build(photos, tmp_path / "data", backend="dask", scheduler="tcp://127.0.0.1:9")
