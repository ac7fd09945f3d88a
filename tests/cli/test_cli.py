"""The command line as a user meets it: real processes, exit codes, one sentence for a mistake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from quick import QUICK

from sketchprep.cli.main import main

SLOW_STAGE = Path(__file__).resolve().parents[1] / "helpers" / "slow_stage"


def run(*words: object):
    return CliRunner().invoke(main, [str(w) for w in words])


def mistake(*words: object) -> str:
    """Run a command that must fail with exit code 2 and one sentence; return the sentence."""
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.output
    return lines[0]


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(yaml.safe_dump(QUICK))
    return path


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from sketchprep.cli.main import main;"
        "out = CliRunner().invoke(main, ['--help']).output; import json;"
        "print(json.dumps([out, sorted(sys.modules)]))"
    )
    out, modules = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    for command in ("build", "plan", "sketch", "preview", "status", "failures", "verify", "crop-components", "export",
                    "sources", "fetch", "doctor"):  # fmt: skip
        assert command in out
    heavy = {"torch", "cv2", "pyarrow", "numpy", "pydantic", "yaml", "PIL", "dlib", "skimage", "h5py", "joblib"}
    assert not heavy & set(modules)


@pytest.mark.parametrize("command", ["build", "plan", "sketch", "preview", "status", "crop-components", "export"])
def test_every_command_has_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_build_prints_its_table_and_repeats_at_once(recipe_file: Path, photos: Path, tmp_path: Path) -> None:
    words = ("build", "--recipe", recipe_file, "--root", photos, "-o", tmp_path / "data", "-j1")
    first = run(*words)
    assert first.exit_code == 0, first.output
    for text in ("4 of 4 shards complete", "pairs", "photocopy", "ms a photo", "photos/s", "preview.jpg"):
        assert text in first.output
    assert "everything was there already" in run(*words).output


def test_mistakes_are_one_sentence_with_the_remedy(recipe_file: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    assert "--source NAME" in mistake("build")
    assert "did you mean" in mistake("build", "--source", "celeba-mask-hq", "--root", photos)
    assert "does not exist" in mistake("build", "--source", "folder", "--root", tmp_path / "nowhere")
    assert "no shipped recipe" in mistake("build", "--recipe", "nonsense", "--root", photos)
    assert "unknown key 'sizes'" in mistake("build", "--recipe", recipe_file, "--set", "sizes=3", "--root", photos)
    assert "-j 0" in mistake("build", "--recipe", recipe_file, "--root", photos, "-o", out, "-j0")
    assert "no dataset" in mistake("preview", tmp_path)
    assert "no planned dataset" in mistake("status", tmp_path)
    assert "no planned dataset" in mistake("verify", tmp_path)
    assert "--stage nonsense" in mistake("sketch", photos / "x.jpg", "--stage", "nonsense")
    assert "cuda" in mistake("build", "--source", "folder", "--root", photos, "-o", out, "--device", "cuda:99")
    file = tmp_path / "file"
    file.write_text("x")
    assert "cannot be written" in mistake("build", "--recipe", recipe_file, "--root", photos, "-o", file / "x")


def test_dry_run_shows_the_plan_and_touches_nothing(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    for words in (("build", "--dry-run"), ("plan",)):
        result = run(*words, "--source", "folder", "--root", photos, "-o", out, "--set", "size=256")
        assert result.exit_code == 0, result.output
        for text in ("size: 256", "6 listed", "shards", "GB", "weights", "packages"):
            assert text in result.output
        recipe = yaml.safe_load(result.output.split("\n\n")[0])
        assert recipe["recipe"]["stages"]["canny"]["low"] == 100
    assert not out.exists()


def test_status_failures_and_preview_read_the_disk(built: Path, tmp_path: Path) -> None:
    assert "6" in run("status", built).output
    assert "nothing was rejected" in run("failures", built).output
    sheet = tmp_path / "sheet.png"
    result = run("preview", built, "--stages", "photo,canny,simplify", "-n", 3, "-o", sheet)
    assert result.exit_code == 0, result.output
    image = cv2.imread(str(sheet))
    assert 3 * 256 < image.shape[1] < 4 * 256
    assert 3 * 256 < image.shape[0] < 4 * 256
    assert "not stored" in mistake("preview", built, "--stages", "hed", "-o", sheet)
    assert "none of that kind" in mistake("failures", built, "--kind", "pose")


def test_verify_ends_with_one_when_something_is_wrong(built: Path, tmp_path: Path) -> None:
    assert run("verify", built).exit_code == 0
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    tar = sorted((copy / "shards").glob("*.tar"))[0]
    tar.write_bytes(tar.read_bytes()[:-1024])
    result = run("verify", copy)
    assert result.exit_code == 1
    assert tar.name in result.output
    marker = tar.with_suffix(".parquet")
    marker.write_bytes(b"PAR1")
    result = run("verify", copy)
    assert (result.exit_code, "is damaged; delete" in result.output) == (1, True)
    (copy / "log" / "merged").unlink(missing_ok=True)
    assert f"{marker}: is damaged" in mistake("status", copy)


def test_a_finished_dataset_is_not_cancelled(built: Path, tmp_path: Path) -> None:
    assert "nothing to cancel" in run("cancel", built).output
    assert not (built / "log" / "stop").exists()


def test_sketch_keeps_size_and_name(photos: Path, tmp_path: Path) -> None:
    image = cv2.imread(str(sorted(photos.iterdir())[0]))[:301, :207]
    cv2.imwrite(str(tmp_path / "odd size.png"), image)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    words = ("sketch", tmp_path / "odd size.png", tmp_path / "broken.jpg", "--stage", "simplify", "-o", tmp_path / "o")
    result = run(*words)
    assert result.exit_code == 1, "one of the two is broken"
    assert "broken.jpg" in result.output
    made = cv2.imread(str(tmp_path / "o" / "odd size.png"), cv2.IMREAD_UNCHANGED)
    assert made.shape == (301, 207)
    assert made.dtype == np.uint8


def test_sketch_never_overwrites_its_input_or_a_namesake(photos: Path, tmp_path: Path) -> None:
    one = tmp_path / "a.png"
    cv2.imwrite(str(one), np.full((64, 64, 3), 200, np.uint8))
    before = one.read_bytes()
    assert "overwrite" in mistake("sketch", one, "--stage", "canny", "-o", tmp_path)
    (tmp_path / "b").mkdir()
    shutil.copy(one, tmp_path / "b" / "a.png")
    assert "would both become" in mistake(
        "sketch", one, tmp_path / "b" / "a.png", "--stage", "canny", "-o", tmp_path / "c"
    )
    assert one.read_bytes() == before


def test_sources_are_listed_and_described(photos: Path) -> None:
    listed = run("sources").output
    for name in ("celebamask-hq", "folder", "pairs", "portraits"):
        assert name in listed
    assert "6" in run("sources", "folder", "--root", photos).output
    assert "--root" in mistake("sources", "celebamask-hq")


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(recipe_file: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    words = ["build", "--recipe", str(recipe_file), "--root", str(photos), "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "sketchprep", *words, "-j2"],
        env={**os.environ, "PYTHONPATH": f"{SLOW_STAGE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite run in the background ignores it
    )
    deadline = time.monotonic() + 120
    while "at work" not in run("status", out).output:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert run("failures", out).exit_code == 0
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the driver and its workers
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert run(*words, "-j1").exit_code == 0
    assert run("verify", out).exit_code == 0
