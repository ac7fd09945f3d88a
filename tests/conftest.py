"""Shared fixtures: real portraits, and small builds of them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from portraits import FRONTAL, PORTRAITS, portrait
from quick import QUICK

pytest_plugins = ["cpu_budget"]

# The suite runs on small machines beside other work: one thread a call, as builds do.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# Fixtures that start a scheduler, a server or a browser, and where under `-n` the tests that ask for one run together.
SITES = {"slurm_daemons": "slurm", "bucket": "store", "dask_cluster": "dask", "browser": "browser"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `integration` what asks for a site; group the tests for ``--dist loadgroup``.

    A file's tests stay in one process, so that what its fixtures make is made once.
    """
    for item in items:
        sites = [group for name, group in SITES.items() if name in getattr(item, "fixturenames", ())]
        if sites:
            item.add_marker(pytest.mark.integration)
        item.add_marker(pytest.mark.xdist_group(sites[0] if sites else item.location[0]))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """What a test before set must not decide how fast a test is, or the last bits of what it computes."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def frontal() -> list[Path]:
    """Bundled portraits that every selection keeps."""
    found = [portrait(name) for name in FRONTAL if portrait(name).exists()]
    if len(found) < 6:
        found = sorted(PORTRAITS.glob("*.jpg"))
    return found


@pytest.fixture
def photos(tmp_path: Path, frontal: list[Path]) -> Path:
    """A folder with six portraits."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in frontal[:6]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, frontal: list[Path]) -> Path:
    """A finished quick build of six portraits; tests must not change it."""
    import sketchprep

    root = tmp_path_factory.mktemp("built")
    (root / "photos").mkdir()
    for path in frontal[:6]:
        shutil.copy(path, root / "photos")
    sketchprep.build(recipe=QUICK, root=root / "photos", out=root / "data", jobs=1, quiet=True)
    return root / "data"
