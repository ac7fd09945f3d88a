"""A build to compare with, and Slurm's commands replaced by a recorder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import recorder
from slurm_fixtures import site, slurm_daemons  # noqa: F401
from two_passes import build


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
