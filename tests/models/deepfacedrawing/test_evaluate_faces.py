"""The evaluation of sketch-to-face models as a whole, with networks that have learnt nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from drawn_faces import write_faces
from small_face_model import SIZE, fresh, write_run

from sketchprep.cli.main import main
from sketchprep.evaluation.faces import OTHERS, FaceReport
from sketchprep.evaluation.paired_metrics import METRICS, Reference
from sketchprep.io.plots import LEGEND
from sketchprep.models.deepfacedrawing.training.cost import of_model

PRESET = """
limit: 2
wb: [0, 1]
k: 4
resamples: 50
jitter: [16]
drop: [0.3, 0.7]
thicken: []
erase: [4]
sheet: 1
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a fresh model, its bank and, in ``data``, a dataset of drawn faces; tests must not change it."""
    return write_run(tmp_path_factory.mktemp("run"), fresh(), train=12, test=3)


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def done(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any]]:
    out = tmp_path_factory.mktemp("out") / "deep" / "report"
    result = call("--run", run, "--data", run / "data", "--split", "test", "-o", out)
    assert result.exit_code == 0, result.output
    return out, result.output, json.loads((out / "metrics.json").read_text())


def test_without_a_command_faces_are_evaluated(done: tuple[Path, str, dict[str, Any]]) -> None:
    out, said, values = done
    table = (out / "table.md").read_text()
    assert table.strip() in said
    figures = table.split("## What was trained")[0]
    rows = [line.split(" | ")[0].strip("| ") for line in figures.splitlines() if line.startswith("| ")]
    assert rows[1:] == ["wb = 0", "wb = 0.5", "wb = 1", OTHERS]
    assert [face["id"] for face in values["faces"]] == [f"face-{n}" for n in range(12, 15)]
    # Sketch, photo and three results of each of the three faces.
    assert cv2.imread(str(out / "sheet.jpg")).shape[1] > 5 * 190
    for title in rows[1:]:
        for metric in METRICS:
            found = [face[title][metric] for face in values["faces"] if face[title][metric] is not None]
            mean = values["means"][title][metric]
            assert mean["count"] == len(found)
            assert not found or mean["mean"] == pytest.approx(np.mean(found))
            assert not found or mean["low"] <= mean["mean"] <= mean["high"]


def test_a_network_that_has_learnt_nothing_scores_worse_than_a_strangers_photo(
    done: tuple[Path, str, dict[str, Any]],
) -> None:
    _, said, values = done
    kernel = {title: found["value"] for title, found in values["kernel"].items()}
    assert kernel[OTHERS] < min(kernel[title] for title in kernel if title != OTHERS)
    assert values["frechet"] == dict.fromkeys(kernel)
    assert "3 faces are too few for 128 features" in said


def test_the_same_command_gives_the_same_figures(
    run: Path, done: tuple[Path, str, dict[str, Any]], tmp_path: Path
) -> None:
    result = call("faces", "--run", run, "--data", run / "data", "-o", tmp_path, "--offline")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "metrics.json").read_bytes() == (done[0] / "metrics.json").read_bytes()
    assert (tmp_path / "table.md").read_bytes() == (done[0] / "table.md").read_bytes()


def test_faces_that_training_or_the_bank_knew_are_told(run: Path, tmp_path: Path) -> None:
    words = ("--run", run, "--data", run / "data", "--split", "train", "--limit", 2, "--wb", "0.25")
    result = call(*words, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "2 of the faces are in the bank" in result.output
    assert "| wb = 0.25 |" in result.output


def test_mistakes_are_one_sentence(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sketchprep.models.deepfacedrawing.drawing.synthesizer.bundled", lambda: None)
    data = run / "data"
    small = write_faces(tmp_path / "small", size=32)
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(run / "deepfacedrawing.safetensors", alone)
    trained = write_faces(tmp_path / "trained", size=SIZE, train=2, test=0)
    for words, said in (
        (("--run", run, "--data", trained), "split=test"),
        (("--run", run, "--data", small), "32 px, fewer than size=64"),
        (("--run", run, "--data", tmp_path), "sketchprep build"),
        (("--run", tmp_path / "none", "--data", data), "--run"),
        (("--data", data), "--run or a model's file with --model"),
        (("--run", alone, "--data", data), "sketchprep bank"),
        (("--run", run, "--data", data, "--wb", "0,2"), "--wb 0,2"),
        (("--run", run, "--data", data, "--wb", "a"), "--wb a"),
        (("--run", run, "--data", data, "--limit", "1"), "--limit"),
        (("robustness", "--run", run, "--data", data, "--preset", "strong"), "give robustness or a path"),
    ):
        result = call(*words)
        assert result.exit_code == 2, (words, result.output)
        assert said in result.output
        assert "Traceback" not in result.output
    assert not (run / "evaluation-test").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("drop: [0.3, 1.5]", "drop"),
        ("erase: [2, 1]", "must grow"),
        ("wb: [0, 0]", "different numbers"),
        ("smear: [1]", "unknown key 'smear'"),
    ],
)
def test_a_preset_with_a_mistake_is_refused(run: Path, tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "odd.yaml").write_text(line)
    words = ("robustness", "--run", run, "--data", run / "data", "--preset", tmp_path / "odd.yaml")
    result = call(*words)
    assert result.exit_code == 2
    assert said in result.output


def test_a_missing_descriptor_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCHPREP_CACHE", str(tmp_path / "empty"))
    result = call("--run", run, "--data", run / "data", "-o", tmp_path / "o", "--offline")
    assert result.exit_code == 2
    assert "sketchprep fetch dlib-face-descriptor" in result.output


def test_robustness_from_the_sketch_as_it_is_to_the_worst(
    run: Path, done: tuple[Path, str, dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "short.yaml").write_text(PRESET)
    words = ("robustness", "--run", run, "--data", run / "data", "--preset", tmp_path / "short.yaml")
    first = call(*words, "-o", tmp_path / "first")
    assert first.exit_code == 0, first.output
    values = json.loads((tmp_path / "first/metrics.json").read_text())
    found = {(c["title"], c["kind"], c["amount"]): c for c in values["conditions"]}
    assert len(found) == 2 * (1 + 4)
    # wb = 1 does not look at the bank: as it is, a sketch scores what `evaluate faces` says.
    plain = [face["wb = 1"]["l1"] for face in done[2]["faces"][:2]]
    assert [row["l1"] for row in found["wb = 1", None, 0]["faces"]] == pytest.approx(plain, abs=1e-3)
    identity = {key: np.array([row["identity"] for row in c["faces"]]) for key, c in found.items()}
    rise = (identity["wb = 1", "drop", 0.3] + identity["wb = 1", "drop", 0.7]) / 2 - identity["wb = 1", None, 0]
    assert values["rises"]["wb = 1"]["drop"]["identity"]["mean"] == pytest.approx(rise.mean())
    table = (tmp_path / "first/table.md").read_text()
    assert table.strip() in first.output
    assert sum(line.startswith("| strokes missing, ") for line in table.splitlines()) == 2 * 2
    figure = cv2.imread(str(tmp_path / "first/curves.png"))
    assert figure.shape == (LEGEND + 4 * 260, 4 * 420, 3)
    assert (figure[:LEGEND].min(-1) < 128).any()  # the curves' names, once above all panels
    assert cv2.imread(str(tmp_path / "first/sheet.jpg")).shape[0] > 5 * 190
    again = call(*words, "-o", tmp_path / "again")
    assert again.exit_code == 0
    for name in ("metrics.json", "table.md", "curves.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_enough_faces_have_a_frechet_distance_that_grows_as_the_faces_stray(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    about = {"data": {"split": "test", "size": 64}, "model": "0" * 64}
    report = FaceReport(tmp_path, about, "10 neighbours", {("a",): of_model(tmp_path, {}, 0)})
    figures: dict[str, float | None] = dict.fromkeys(METRICS, 0.5)
    for number in range(150):
        real = rng.normal(0, 0.07, 128)
        made = {f"{off}": (figures, rng.normal(off, 0.07, 128)) for off in (0.0, 0.02, 0.04)}
        report.add(str(number), Reference(np.zeros(0), np.zeros(0), [], real), made)
    assert report.frechet["0.0"] < report.frechet["0.02"] < report.frechet["0.04"]
    assert report.kernel["0.0"].low < 0 < report.kernel["0.0"].high
    assert report.kernel["0.0"].high < report.kernel["0.02"].low < report.kernel["0.04"].low
    assert "8,256 covariances from 150 faces" in report.text()
