"""A build in two passes, on one machine or two: the bytes of one pass, whatever happens between and during them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from two_passes import TWO, WIDE, build, promised

from sketchprep.cli.main import main
from sketchprep.datasets import status, verify
from sketchprep.datasets.build import fingerprint, halfway, passes
from sketchprep.datasets.reader import read_recipe
from sketchprep.errors import UserError
from sketchprep.sketching import recipe


def test_the_graph_falls_into_what_needs_no_network_and_the_rest() -> None:
    rec = recipe.load(TWO)
    assert list(passes.graph(rec, "cpu")) == ["canny", "photocopy", "simplify"]
    assert set(passes.graph(rec, "network")) == {"seen", "drawn", "tidied", "whole"}
    assert passes.kept(rec) == ["photo", "photocopy"]
    assert fingerprint.needed_assets(rec, "cpu") == ["dlib-landmarks-68"]
    assert fingerprint.needed_assets(rec, "network") == ["simplifier"]


@pytest.mark.parametrize("rec", [TWO, WIDE], ids=lambda rec: rec["name"])
def test_two_passes_make_the_bytes_of_one(rec: dict, one_pass: Path, photos: Path, tmp_path: Path) -> None:
    expected = one_pass
    if rec is WIDE:
        (photos / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
        build(photos, expected := tmp_path / "one", rec=rec)
    out = tmp_path / "two"
    first = build(photos, out, "cpu", rec)
    assert first.waiting == status.status(out).halfway > 1
    assert first.failed == (rec is WIDE)
    assert not list((out / "shards").iterdir())
    assert not (out / "index.parquet").exists()
    second = build(photos, out, "network", rec)
    assert second.waiting == 0
    assert promised(out) == promised(expected)
    assert verify.verify(out) == []
    assert status.status(out).seconds.keys() >= {"decode", "photocopy", "drawn", "whole"}
    assert not (out / halfway.FOLDER).exists()
    assert build(photos, out, "cpu", rec).made == build(photos, out, rec=rec).made == 0


def test_the_first_pass_loads_no_network_and_the_second_opens_no_photo(photos: Path, tmp_path: Path) -> None:
    words = json.dumps([TWO, str(photos), str(tmp_path / "data")])
    code = (
        "import json, sys, sketchprep; recipe, root, out = json.loads(sys.argv[1])\n"
        "sketchprep.build(recipe=recipe, root=root, out=out, jobs=1, quiet=True, part='cpu')\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, words], check=True)
    for path in photos.iterdir():
        path.write_bytes(b"x" * path.stat().st_size)
    build(photos, tmp_path / "data", "network")
    assert status.status(tmp_path / "data").pairs == 6


def test_a_second_pass_that_is_killed_goes_on_from_what_the_first_left(
    one_pass: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(TWO))
    build(photos, out, "cpu")
    words = ["--recipe", str(tmp_path / "two.yaml"), "--root", str(photos), "-o", str(out), "-j1", "--pass", "network"]
    process = subprocess.Popen([sys.executable, "-m", "sketchprep", "build", *words], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list((out / "shards").glob("[!.]*.parquet")) and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {p: p.stat().st_mtime_ns for p in (out / "shards").glob("[!.]*.parquet")}
    halves = halfway.names(out)
    assert finished
    assert len(finished) + len(halves) == 3, "the shard in hand is still half made"
    result = build(photos, out, "network")
    assert 0 < result.made < 6
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert promised(out) == promised(one_pass)


@pytest.mark.slow
def test_a_first_pass_that_is_cut_short_goes_on_and_a_damaged_half_is_made_again(
    one_pass: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    build(photos, out, "cpu")
    lost, broken = (halfway.path(out, name) for name in halfway.names(out)[:2])
    lost.unlink()
    with pytest.raises(UserError, match=rf"1 shards lack their first pass \({lost.stem} is the first"):
        build(photos, out, "network")
    kept = broken.stat().st_mtime_ns
    build(photos, out, "cpu")
    assert broken.stat().st_mtime_ns == kept
    broken.write_bytes(broken.read_bytes()[:100_000])
    with pytest.raises(UserError, match="was damaged and is removed"):
        build(photos, out, "network")
    build(photos, out, "cpu")
    build(photos, out, "network")
    assert promised(out) == promised(one_pass)


def test_a_recipe_without_networks_has_one_pass(built: Path, photos: Path, tmp_path: Path) -> None:
    from quick import QUICK

    assert build(photos, tmp_path / "data", "network", QUICK).waiting == 0
    assert promised(tmp_path / "data") == promised(built)


def test_each_pass_has_its_own_kind_of_machine(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another machine made of its half is recorded, and each machine refuses the other's work."""
    out = tmp_path / "data"
    with pytest.raises(UserError, match="run the same command with --pass cpu first"):
        build(photos, out, "network")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    build(photos, out, "cpu")
    assert set(read_recipe(out)["depends_on"]) == {"cpu_pass"}
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    with pytest.raises(UserError, match=r"depends_on.cpu_pass.cpu: .*capped at SSE41"):
        build(photos, out, "cpu")
    with pytest.raises(UserError, match="--pass cpu or --pass network"):
        build(photos, out)
    build(photos, out, "network")
    depends_on = read_recipe(out)["depends_on"]
    assert depends_on["cpu_pass"]["cpu"].endswith("capped at SSE41")
    assert not depends_on["cpu"].endswith("SSE41")
    assert depends_on["cpu_pass"].keys() == {"device", "cpu", "threads", "packages", "weights"}
    values = {key: read_recipe(out)[key] for key in ("recipe", "depends_on")}
    assert read_recipe(out)["hash"] == recipe.digest(values)
    assert verify.verify(out) == []


def test_the_command_line_says_what_comes_next(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(TWO))
    words = ["build", "--recipe", str(tmp_path / "two.yaml"), "--root", str(photos), "-o", str(tmp_path / "d"), "-j1"]
    done = CliRunner().invoke(main, [*words, "--pass", "cpu"])
    assert done.exit_code == 0, done.output
    assert "0 of 3 shards complete, 3 wait for their second pass" in done.output
    assert "go on with the same command and --pass network" in done.output
    assert CliRunner().invoke(main, [*words, "--pass", "gpu"]).exit_code == 2
    assert CliRunner().invoke(main, [*words, "--pass", "cpu", "--executor", "slurm"]).exit_code == 2
