"""Slurm: real daemons, or its commands replaced by a recorder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import recorder
from slurm_fixtures import site, slurm_daemons  # noqa: F401


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands replaced by ones that only write down what they were asked."""
    recorder.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    return tmp_path / "record"
