"""One real Slurm for all tests that ask for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from slurm_site import Site, missing


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
