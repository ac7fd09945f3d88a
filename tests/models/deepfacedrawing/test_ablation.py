"""Ablations as a whole on drawn faces: every variant trained and measured, what is done kept, mistakes named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest
import yaml
from click.testing import CliRunner, Result
from drawn_faces import write_faces

from sketchprep.cli.main import main
from sketchprep.models.deepfacedrawing.ablation import load
from sketchprep.models.deepfacedrawing.networks.model import load_face_model

NARROW = [
    "size=64", "latent=8", "width=4", "innermost=8", "narrow=2", "fm_channels=4", "fm_width=4", "ngf=4", "downs=2",
    "blocks=1", "ndf=4", "scales=1", "perceptual=0", "batch=4", "workers=0", "threads=1", "precision=float32",
    "stats_every=4", "samples_every=1000", "save_every=8",
]  # fmt: skip
PRESET = {
    "preset": "tiny", "set": NARROW, "images": {"ce": 8, "fm-is": 8}, "latent": [4, 8], "fm_channels": [1],
    "neighbours": [1, 3], "k": 3, "limit": 2, "rough": {"drop": 0.5}, "resamples": 50, "sheet": 1,
}  # fmt: skip


def call(data: Path, run: Path, preset: Path) -> Result:
    words = ("ablate", "--data", data, "--run", run, "--preset", preset, "--device", "cpu")
    return CliRunner().invoke(main, [str(word) for word in words])


def write_preset(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump({**PRESET, **changes}))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces") / "data")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, data: Path) -> tuple[Path, str]:
    run = tmp_path_factory.mktemp("ablated")
    result = call(data, run / "runs", write_preset(run / "short.yaml"))
    assert result.exit_code == 0, result.output
    return run, result.output


def test_every_variant_is_trained_in_its_one_respect_and_measured(done: tuple[Path, str]) -> None:
    runs = done[0] / "runs"
    shapes = {}
    for name in ("base", "latent-4", "fm_channels-1"):
        model = load_face_model(runs / name)
        shapes[name] = (model.architecture.latent, model.architecture.fm_channels)
        assert model.facts["images"]["fm-is"] == 8
    assert shapes == {"base": (8, 4), "latent-4": (4, 4), "fm_channels-1": (8, 1)}
    # Channels are changed on the base's own codes.
    assert (runs / "fm_channels-1/encoders.safetensors").read_bytes() == (
        runs / "base/encoders.safetensors"
    ).read_bytes()
    assert not (runs / "fm_channels-1/ce").exists()

    table = (runs / "table.md").read_text()
    assert table.strip() in done[1]
    rows = [line.split(" | ")[:4] for line in table.split("## What")[0].splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 2 * (2 * 2 + 2 * 2 + 2 + 2)
    assert ["| numbers in a code", "4", "K = 3", "as it is"] in rows
    assert ["| numbers in a code", "8 (base)", "–", "rough"] in rows
    assert ["| channels of a feature map", "1", "–", "rough"] in rows
    assert ["| neighbours K", "1", "K = 1", "as it is"] in rows
    assert ["| projection", "without", "–", "rough"] in rows
    values = json.loads((runs / "metrics.json").read_text())["variants"]
    found = {(row["wb"], row["k"], row["sketches"]): row for row in values["base"]["rows"]}
    assert found[0, 1, "rough"]["means"]["l1"]["count"] == 2
    assert found[0, 3, "as it is"]["means"] != found[1, 3, "as it is"]["means"]
    # Sketch and photo, three ways of the base, two of each other variant; a row as it is and one rough.
    assert cv2.imread(str(runs / "sheet.jpg")).shape[:2] == (24 + 2 * 134 + 6, 9 * 134 + 6)


def test_what_is_done_is_kept_and_what_is_not_is_done_again(done: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(done[0] / "runs", tmp_path / "runs")
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    (runs / "latent-4/ablation.json").unlink()
    result = call(data, runs, done[0] / "short.yaml")
    assert result.exit_code == 0, result.output
    assert result.output.count("is done") == 2
    changed = {
        path.relative_to(runs).parts[0]
        for path, at in before.items()
        if path.exists() and path.stat().st_mtime_ns != at
    }
    assert changed == {"latent-4", "table.md", "metrics.json", "sheet.jpg"}
    for name in ("table.md", "metrics.json", "sheet.jpg"):
        assert (runs / name).read_bytes() == (done[0] / "runs" / name).read_bytes(), name


def test_another_budget_is_another_run(done: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    longer = write_preset(tmp_path / "longer.yaml", images={"ce": 8, "fm-is": 16})
    result = call(data, done[0] / "runs", longer)
    assert result.exit_code == 2
    assert "started with other settings" in result.output


def test_a_value_that_the_base_has_is_measured_there() -> None:
    names = [variant.name for variant in load().variants()]
    assert names == ["base", "latent-128", "latent-256", "fm_channels-1", "fm_channels-32"]
    base = load().variants()[0]
    assert sorted(base.ways) == [(0, 1), (0, 3), (0, 6), (0, 10), (0, 15), (0, 20), (1, 10)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": {"ce": 8}}, "must give a number of images for ce and for fm-is"),
        ({"rough": {"smear": 1}}, "kinds of damage are jitter"),
        ({"latent": [0]}, "latent"),
        ({"widths": [1]}, "unknown key 'widths'"),
        ({"preset": "huge"}, "--preset huge: unknown"),
        ({"set": ["colour=1"]}, "unknown key"),
    ],
)
def test_a_preset_with_a_mistake_is_refused(data: Path, tmp_path: Path, changes: dict, said: str) -> None:
    result = call(data, tmp_path / "runs", write_preset(tmp_path / "odd.yaml", **changes))
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "runs").exists()


def test_a_dataset_without_held_out_faces_is_refused_before_training(tmp_path: Path) -> None:
    data = write_faces(tmp_path / "data", train=3, test=0)
    result = call(data, tmp_path / "runs", write_preset(tmp_path / "short.yaml"))
    assert result.exit_code == 2
    assert "split=test" in result.output
    assert not (tmp_path / "runs").exists()
