"""Baselines beside a model: their rows and curves, what was trained how long, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from small_face_model import SIZE, fresh, write_run

from sketchprep.cli.main import main
from sketchprep.models.deepfacedrawing.training.cost import of_model
from sketchprep.models.pix2pix.model import Shape, save_baseline
from sketchprep.training.run_dir import account

PRESET = """
limit: 3
wb: [1]
resamples: 50
jitter: []
drop: [0.7]
thicken: []
erase: []
sheet: 1
"""


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(word) for word in words)])


def write_baseline(folder: Path, network: str, *, size: int = SIZE, **facts: Any) -> Path:
    folder.mkdir(parents=True)
    shape = Shape(network, size, ngf=4, downs=2, blocks=1)
    torch.manual_seed(1)
    save_baseline(shape.build().state_dict(), shape, folder / "baseline.safetensors", facts=facts)
    return folder


def write_stats(folder: Path, *lines: tuple[int, float]) -> None:
    """Statistics of a run that had trained so many hours at so many images."""
    folder.mkdir(parents=True, exist_ok=True)
    told = "".join(json.dumps({"images": seen, "hours": spent}) + "\n" for seen, spent in lines)
    (folder / "stats.jsonl").write_text(told)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("run"), fresh(), train=8, test=3)
    write_stats(folder / "ce", (3600, 0.5), (7200, 1.5))
    write_stats(folder / "fm-is", (3600, 1.0))
    facts = {"images": 3600, "step": 8, "preset": "tiny", "seed": 7, "precision": "bfloat16"}
    write_stats(write_baseline(folder / "unet", "unet", **facts), (1800, 0.5), (3600, 1.5))
    write_baseline(folder / "global", "global", task={"lr": 1e-3})
    return folder


def test_baselines_have_rows_and_what_was_trained_is_told(run: Path, tmp_path: Path) -> None:
    words = ("--run", run, "--data", run / "data", "--baseline", run / "unet", "--baseline", run / "global")
    result = call(*words, "--limit", 2, "--wb", 1, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    rows = {line.split(" | ")[0].strip("| "): line for line in result.output.splitlines() if line.startswith("| ")}
    assert {"wb = 1", "unet", "global"} <= rows.keys()
    # Columns: images, share of ours, hours, share of ours, stage 1, machine, batch, preset, seed.
    trained = [line for line in result.output.splitlines() if line.startswith("| ") and " M | " in line]
    assert trained[0].split(" | ")[2:6] == ["–", "–", "2.50", "1.00"]
    assert "–, 1.50 h" not in trained[0]
    assert trained[1].split(" | ")[2:] == ["3,600", "–", "1.50", "0.60", "–", "–", "8", "tiny", "7 |"]
    values = json.loads((tmp_path / "metrics.json").read_text())
    assert [one["titles"] for one in values["trained"]] == [["wb = 1"], ["unet"], ["global"]]
    assert set(values["baselines"]) == {"unet", "global"}
    assert values["means"]["unet"]["l1"]["count"] == 2
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape[1] == 5 * 198 + 6


def test_robustness_compares_face_by_face_and_gives_the_same_figures_again(run: Path, tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(PRESET)
    words = ("robustness", "--run", run, "--data", run / "data", "--preset", tmp_path / "short.yaml")
    words += ("--baseline", run / "unet", "--baseline", run / "global")
    assert call(*words, "-o", tmp_path / "first").exit_code == 0
    text = (tmp_path / "first/table.md").read_text()
    assert sum(line.startswith("| strokes missing, ") for line in text.splitlines()) == 3
    values = json.loads((tmp_path / "first/metrics.json").read_text())
    found = {(c["title"], c["kind"]): [row["identity"] for row in c["faces"]] for c in values["conditions"]}
    rises = {
        title: [b - a for a, b in zip(found[title, None], found[title, "drop"], strict=True)]
        for title in ("wb = 1", "unet")
    }
    wanted = sum(a - b for a, b in zip(rises["wb = 1"], rises["unet"], strict=True)) / 3
    assert values["against"]["wb = 1 − unet"]["drop"]["identity"]["mean"] == pytest.approx(wanted)
    assert "hours" in text
    assert call(*words, "-o", tmp_path / "again").exit_code == 0
    for name in ("metrics.json", "table.md", "curves.png", "sheet.jpg"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_two_of_one_kind_are_told_apart_and_other_settings_are_told(run: Path, tmp_path: Path) -> None:
    other = write_baseline(tmp_path / "longer", "unet")
    words = ("--run", run, "--data", run / "data", "--limit", 2, "--wb", 1, "-o", tmp_path / "o")
    result = call(*words, "--baseline", run / "unet", "--baseline", other)
    assert result.exit_code == 0, result.output
    assert "| unet (longer) |" in result.output
    for wrong, said in (
        ((*words, "--baseline", run / "unet", "--baseline", run / "unet"), "there twice"),
        ((*words, "--baseline", tmp_path / "none"), "there is no such baseline"),
        ((*words, "--baseline", run / "deepfacedrawing.safetensors"), "holds no baseline"),
        ((*words, "--baseline", write_baseline(tmp_path / "big", "unet", size=128)), "draws 128 px, the model 64"),
    ):
        result = call(*wrong)
        assert result.exit_code == 2, result.output
        assert said in result.output
        assert "Traceback" not in result.output


def started(run: Path, *, of: Path | None, images: int) -> Path:
    """A run that trained for an hour, initialised from another."""
    before = account(of) if of else None
    marker: dict[str, Any] = {"settings": {"init_from": str(of) if of else None}, "before": {"images": 0, "hours": 0.0}}
    if before is not None:
        assert before.hours is not None
        assert before.hours_before is not None
        marker["before"] = {"images": 50, "hours": before.hours + before.hours_before}
    write_stats(run, (images, 1.0))
    (run / "run.yaml").write_text(yaml.safe_dump(marker))
    return run


def test_a_part_that_went_on_alone_does_not_count_the_first_stage_twice(tmp_path: Path) -> None:
    old = started(tmp_path / "old/ce", of=None, images=50)
    parts = started(tmp_path / "run/ce", of=old, images=100)
    started(tmp_path / "run/ce-remainder", of=parts, images=30)
    started(tmp_path / "run/fm-is", of=None, images=10)
    trained = of_model(tmp_path / "run", {"images": {"ce": {"nose": 100, "remainder": 30}, "fm-is": 10}}, 1)
    assert (trained.first_hours, trained.second_hours, trained.hours) == (pytest.approx(3), pytest.approx(1), 4)
    assert (trained.first_images, trained.images) == (150, 10)
