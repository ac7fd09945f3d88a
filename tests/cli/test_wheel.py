"""What a user installs: the wheel alone, in an empty environment."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from sketchprep.core.weights_manifest import Bundled, manifest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_wheel_carries_recipes_manifest_and_portraits_and_no_stray_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "pipelines/celebamask-hq.yaml",
        "data_manifest.yaml",
        "data/portraits/male-00.jpg",
        "cli/main.py",
        "datasets/build/build.py",
    ):
        assert f"sketchprep/{name}" in names
    for folder in ("serve/static", "data/sketches"):  # all that the page shows
        files = {str(path.relative_to(ROOT)) for path in (ROOT / "sketchprep" / folder).iterdir() if path.is_file()}
        assert len(files) >= 6
        assert files <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"sketchprep"}
    assert not [name for name in names if name.endswith((".pyc", ".h5", ".dat"))]
    bundled = [weight for weight in manifest().weights.values() if isinstance(weight, Bundled)]
    assert {f"sketchprep/{weight.file}" for weight in bundled} <= names
    assert wheel.stat().st_size < 6.5e6 + sum(weight.bytes for weight in bundled)


def test_what_the_wheel_carries_of_weights_is_what_the_manifest_says(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as found:
        for name in found.namelist():
            if name.startswith("sketchprep/data/weights/") and not name.endswith(".md"):
                entry = next(w for w in manifest().weights.values() if f"sketchprep/{getattr(w, 'file', '')}" == name)
                assert hashlib.sha256(found.read(name)).hexdigest() == entry.sha256


@pytest.mark.integration
def test_an_empty_environment_installs_it_and_builds(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, cwd=tmp_path)
    sketchprep = tmp_path / "env" / "bin" / "sketchprep"
    assert "build" in subprocess.check_output([sketchprep, "--help"], text=True, cwd=tmp_path)
    words = [
        "build",
        "--source",
        "portraits",
        "--limit",
        "3",
        "--set",
        "size=128",
        "--set",
        "store=[photocopy]",
        "-o",
        "out",
    ]
    subprocess.run([sketchprep, *words], check=True, cwd=tmp_path)
    assert (tmp_path / "out" / "index.parquet").is_file()
