"""How commands end: exit codes, what is said on the way out, and what is left behind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from quick import QUICK

from sketchprep.cli.main import main


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(yaml.safe_dump(QUICK))
    return path


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A folder of two pictures without a face."""
    folder = tmp_path / "noise"
    folder.mkdir()
    for seed in range(2):
        cv2.imwrite(str(folder / f"{seed}.png"), np.random.default_rng(seed).integers(0, 255, (200, 200, 3)))
    return folder


def test_a_build_without_a_pair_ends_with_1_and_says_why(recipe_file: Path, noise: Path, tmp_path: Path) -> None:
    words = ("build", "--recipe", recipe_file, "--root", noise, "-o", tmp_path / "data", "-j1")
    for _ in range(2):  # also where everything is there already
        done = run(*words)
        assert done.exit_code == 1
        assert "no pair was made: 2 no-face (rejected); see `sketchprep failures" in done.output


def test_results_without_a_picture_end_with_1(noise: Path, tmp_path: Path) -> None:
    done = run("crop-components", noise, "--centre", "landmarks", "-o", tmp_path / "parts")
    assert (done.exit_code, "0 written, 2 failed" in done.output) == (1, True)


def test_a_build_that_fails_before_its_plan_leaves_nothing(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").mkdir()
    for out in (tmp_path / "new" / "deep", tmp_path / "mine"):
        assert run("build", "--recipe", recipe_file, "--root", tmp_path / "empty", "-o", out).exit_code == 2
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "mine").iterdir()) == []  # the user's own folder stays


@pytest.mark.parametrize(("command", "goes_on"), [("build", True), ("sources", False)])
def test_ctrl_c_says_whether_the_same_command_goes_on(
    command: str, goes_on: bool, recipe_file: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sketchprep.datasets.build.planner.list_sources", interrupted)
    monkeypatch.setattr("sketchprep.datasets.build.plan_changes.list_sources", interrupted)
    monkeypatch.setattr("sketchprep.datasets.sources.names", interrupted)
    out = tmp_path / "data"
    words = (command, "--recipe", recipe_file, "--root", photos, "-o", out) if command == "build" else (command,)
    done = run(*words)
    assert done.exit_code == 130
    assert ("run the same command again to go on" in done.output) == goes_on
    assert not out.exists()


def test_a_stage_leaves_the_files_of_another_alone(photos: Path, tmp_path: Path) -> None:
    inputs, out = sorted(photos.iterdir())[:2], tmp_path / "out"
    assert run("sketch", *inputs, "--stage", "canny", "-o", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = run("sketch", *inputs, "--stage", "photocopy", "-o", out)
    assert done.exit_code == 2
    assert f"{inputs[0].stem}.png is a result of --stage canny" in done.output
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run("sketch", *inputs, "--stage", "canny", "--set", "stages.canny.low=9", "-o", out).exit_code == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} != before
    cv2.imwrite(str(out / f"{inputs[0].stem}.png"), np.zeros((9, 9)))  # somebody's own
    done = run("sketch", *inputs, "--stage", "canny", "-o", out)
    assert (done.exit_code, "is no result of `sketchprep sketch`" in done.output) == (2, True)
