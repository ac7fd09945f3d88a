"""Commands of the documentation run as written, on small data: those that read a dataset, and those that draw."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from doc_pages import DOCS, ROOT, commands
from quick import QUICK
from small_builds import build

from sketchprep.cli.main import main
from sketchprep.core.resources import resource

# What takes minutes, a server or a model of another family is tested elsewhere.
READING = ("preview", "status", "failures", "verify", "export", "crop-components", "sketch")
DRAWING = ("synthesize", "morph", "copy-paste", "interpolate")
RECIPE = {
    **QUICK,
    "size": 256,
    "upscale": True,
    "stages": {**QUICK["stages"], "hed": {}},
    "store": ["photocopy", "hed", "canny"],
}
SKETCHES = {"drawing.png": "man-smile", "a.png": "woman-fringe", "b.png": "man-beard", "c.png": "woman-tied-hair"}


def written(names: tuple[str, ...]) -> list[list[str]]:
    """Whole command lines of README, tutorial, drawing and recipes that begin with one of the names."""
    pages = (ROOT / "README.md", DOCS / "tutorial.md", DOCS / "drawing.md", DOCS / "recipes.md")
    found = [arguments for page in pages for arguments, whole in commands(page) if whole and arguments[0] in names]
    return [arguments for number, arguments in enumerate(found) if arguments not in found[:number]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, frontal: list[Path]) -> Path:
    """Where the documentation's names lead somewhere."""
    where = tmp_path_factory.mktemp("docs")
    (where / "photos").mkdir()
    for path in frontal[:3]:
        shutil.copy(path, where / "photos")
    build(where / "photos", where / "built", RECIPE)
    for name, sketch in SKETCHES.items():
        shutil.copy(resource(f"data/sketches/{sketch}.png"), where / name)
    shutil.copy(resource("data/sketches/rough.png"), where / "rough.jpg")
    for name in ("selfie.jpg", "photo.jpg"):
        shutil.copy(frontal[0], where / name)
    for name in ("out", "runs"):
        (where / name).mkdir()
    for name in ("mine", "faces", "portraits"):
        (where / "out" / name).symlink_to(where / "built")
    (where / "runs/faces").symlink_to(resource("data/weights/face"))
    return where


def run(arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, f"sketchprep {' '.join(arguments)}: {result.output[-500:]} {result.exception!r}"


@pytest.mark.parametrize("arguments", written(READING), ids=" ".join)
def test_commands_on_datasets_run_as_written(
    arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(arguments, folder, monkeypatch)


@pytest.mark.integration
@pytest.mark.parametrize("arguments", written(DRAWING), ids=" ".join)
def test_drawing_commands_run_as_written(arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(arguments, folder, monkeypatch)
