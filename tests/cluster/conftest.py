"""One real Slurm for all tests of this folder that ask for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import recorder
from cluster.slurm_site import Site, missing
from cluster.two_passes import build


@pytest.fixture(scope="session")
def slurm_daemons() -> Iterator[Site]:
    lacking = missing()
    if lacking:
        if "slurm" in os.environ.get("SKETCHPREP_REQUIRE", ""):
            pytest.fail(f"SKETCHPREP_REQUIRE names slurm, but there is no {', '.join(lacking)}")
        pytest.skip(f"no {', '.join(lacking)} (Debian packages slurm-wlm and munge)")
    site = Site()
    try:
        site.start()
        yield site
    finally:
        site.stop()


@pytest.fixture
def site(slurm_daemons: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site with an empty queue; this process' Slurm commands go to it."""
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm_daemons.env[name])
    yield slurm_daemons
    for job in slurm_daemons.run("squeue", "-h", "-o", "%F").split():
        slurm_daemons.run("scancel", job, check=False)
    slurm_daemons.drain()


@pytest.fixture(scope="session")
def one_pass(tmp_path_factory: pytest.TempPathFactory, frontal: list[Path]) -> Path:
    """A build in one pass of the recipe that has two; tests must not change it."""
    root = tmp_path_factory.mktemp("one-pass")
    (root / "photos").mkdir()
    for path in frontal[:6]:
        (root / "photos" / path.name).write_bytes(path.read_bytes())
    build(root / "photos", root / "data")
    return root / "data"


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands replaced by ones that only write down what they were asked."""
    recorder.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    return tmp_path / "record"
