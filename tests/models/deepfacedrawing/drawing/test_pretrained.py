"""Which model a command takes when none is named, and what it says of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import yaml
from click.testing import CliRunner, Result
from drawn_faces import draw
from small_face_model import fresh, write_run

from sketchprep.cli.main import main
from sketchprep.core import doctor, resources, weights_manifest
from sketchprep.core import weights as assets
from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.drawing import pretrained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), fresh(), train=12, test=2)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with a drawing."""
    monkeypatch.chdir(tmp_path)
    assert cv2.imwrite("drawing.png", draw(7, 300)[1])
    pretrained.bundled.cache_clear()
    return tmp_path


@pytest.fixture
def none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without a model."""
    monkeypatch.setattr(pretrained, "bundled", lambda: None)


@pytest.fixture
def package(run: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that has the run's model; its folder."""
    folder = place / "package/data/weights/face"
    folder.mkdir(parents=True)
    weights = {}
    for name, file in (("face", "deepfacedrawing.safetensors"), ("face-bank", "bank.safetensors")):
        data = (run / file).read_bytes()
        (folder / file).write_bytes(data)
        weights[name] = {
            "title": name, "file": f"data/weights/face/{file}", "bytes": len(data), "licence": "as its data",
            "restriction": "non-commercial research only", "sha256": hashlib.sha256(data).hexdigest(),
            "used_by": ["synthesize"],
        }  # fmt: skip
    file = place / "manifest.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "archives": {}, "weights": weights, "datasets": {}}))
    found = weights_manifest.load(file)
    for module in (assets, doctor):
        monkeypatch.setattr(module, "manifest", lambda: found)
    monkeypatch.setattr(weights_manifest, "manifest", lambda: found)
    (place / "package/pipelines").symlink_to(resources.resource("pipelines"))
    monkeypatch.setattr(resources, "PACKAGE", place / "package")
    return folder


@pytest.fixture(autouse=True)
def fresh_choice() -> object:
    yield
    if hasattr(pretrained.bundled, "cache_clear"):
        pretrained.bundled.cache_clear()


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_bundled_model_draws_and_its_licence_is_said_once(package: Path) -> None:
    result = call("synthesize", "drawing.png", "-o", "o")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    said = [line for line in lines if "bundled" in line]
    assert len(said) == 1
    for text in ("non-commercial research only", "CelebA-HQ", "--run takes another", str(package / pretrained.CARD)):
        assert text in said[0]
    assert "licence" not in result.stdout
    assert Path("o/drawing.png").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["morph", "drawing.png", "drawing.png", "-o", "o", "--frames", "2"],
        ["copy-paste", "--base", "drawing.png", "--nose", "drawing.png", "-o", "o"],
        ["interpolate", "face-2", "face-9", "-o", "o", "--frames", "2"],
    ],
)
def test_the_other_commands_take_it_too(package: Path, words: list[str]) -> None:
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("bundled") == 1


def test_a_named_run_draws_without_a_word_about_the_bundled_one(package: Path, run: Path) -> None:
    result = call("synthesize", "drawing.png", "-o", "o", "--run", run)
    assert result.exit_code == 0, result.output
    assert "bundled" not in result.output


def test_a_run_in_the_current_folder_is_pointed_at_and_not_taken(package: Path) -> None:
    for here in (pretrained.DEMO, pretrained.RUN):
        Path(here).mkdir(parents=True)
        said: list[str] = []
        assert pretrained.choose(None, None, say=said.append) == package
        assert f"--run {here} takes yours" in said[0]


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_damaged_files_are_named_with_a_remedy(package: Path, run: Path, harm: str) -> None:
    bank = package / "bank.safetensors"
    data = bank.read_bytes()
    if harm == "gone":
        bank.unlink()
    else:
        bank.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    result = call("synthesize", "drawing.png", "-o", "o")
    assert result.exit_code == 2
    assert result.output.startswith("Error: the bundled model: ")
    assert "bank.safetensors" in result.output
    assert "--run" in result.output
    assert call("synthesize", "drawing.png", "-o", "o", "--run", run).exit_code == 0


def test_doctor_lists_it_with_its_restriction(package: Path) -> None:
    weights = next(section for section in doctor.report(devices=False) if section.title == "Weights")
    assert [row.label for row in weights.rows] == ["face", "face-bank"]
    assert all("non-commercial" in row.value for row in weights.rows)


def test_in_python_it_opens_without_arguments(package: Path) -> None:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer

    synthesizer = open_synthesizer(device="cpu")
    assert synthesizer.bank is not None
    assert len(synthesizer.bank) == 12


def test_without_one_the_folders_runs_are_taken(none: None) -> None:
    said: list[str] = []
    assert pretrained.choose(None, None, say=said.append) == Path(pretrained.RUN)
    assert not said
    Path(pretrained.DEMO).mkdir(parents=True)
    assert pretrained.choose(None, None, say=said.append) == Path(pretrained.DEMO)
    Path(pretrained.RUN).mkdir(parents=True)
    assert pretrained.choose(None, None, say=said.append) == Path(pretrained.RUN)
    assert [line.split(";")[0] for line in said] == [
        f"the model of {at} draws" for at in (pretrained.DEMO, pretrained.RUN)
    ]


def test_without_any_the_remedy_is_one_sentence(none: None) -> None:
    result = call("synthesize", "drawing.png", "-o", "o")
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "sketchprep train" in result.output


def test_two_models_are_refused(none: None) -> None:
    with pytest.raises(UserError, match="only one"):
        pretrained.choose(Path("a"), Path("b"))


def test_choosing_needs_no_heavy_package() -> None:
    code = (
        "import sys, sketchprep.models.deepfacedrawing.drawing.pretrained as s; s.choose(None, None);"
        "print('torch' in sys.modules, 'cv2' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert found.stdout.split() == ["False", "False"]
