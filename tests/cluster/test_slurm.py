"""Builds by a real Slurm on this machine: the local build's bytes, whatever happens to tasks and node."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from quick import QUICK
from slurm_runs import assert_nothing_lost_nothing_twice, build, logs, markers, promised, stamps, until
from slurm_site import Site

import sketchprep
from sketchprep.cli.main import main
from sketchprep.cluster import slurm
from sketchprep.datasets import status
from sketchprep.datasets.build import slurm as submit
from sketchprep.errors import UserError


@pytest.fixture
def out(tmp_path: Path, site: Site) -> Path:
    return tmp_path / "data with 100% spaces"


SINGLE = {**QUICK, "shard_size": 1}


@pytest.fixture(scope="session")
def slow_recipe() -> dict:
    """One photo a shard, and enough work that a test can step in between."""
    return {**SINGLE, "size": 1024, "upscale": True, "stages": {**QUICK["stages"], "lines": {}}, "store": ["lines"]}


@pytest.fixture(scope="session")
def slow_built(tmp_path_factory: pytest.TempPathFactory, frontal: list[Path], slow_recipe: dict) -> Path:
    root = tmp_path_factory.mktemp("slow")
    (root / "photos").mkdir()
    for path in frontal[:6]:
        shutil.copy(path, root / "photos")
    sketchprep.build(recipe=slow_recipe, root=root / "photos", out=root / "data", jobs=1, quiet=True)
    return root / "data"


def test_an_array_makes_the_bytes_of_a_local_build(site: Site, built: Path, photos: Path, out: Path) -> None:
    result = build(photos, out, "cpus=2", "shards_per_task=2")
    assert result.submitted is not None
    assert (result.submitted.shards, result.submitted.tasks) == (4, 2)
    with pytest.raises(UserError, match="Slurm jobs are at work there"):
        build(photos, out)
    with pytest.raises(UserError, match="sketchprep cancel"):
        sketchprep.build(recipe=QUICK, root=photos, out=out, jobs=1, quiet=True)
    site.drain(300)
    assert_nothing_lost_nothing_twice(out, built)
    before = stamps(out)
    again = build(photos, out)
    assert again.submitted is None
    assert again.failed == 0
    assert stamps(out) == before


def test_merging_twice_is_harmless(site: Site, built: Path, photos: Path, out: Path) -> None:
    spec = build(photos, out, "shards_per_task=4").submitted.script.with_suffix(".json")
    site.drain(300)
    before = promised(out)
    from sketchprep.datasets.build import slurm_task

    assert slurm_task.merge(spec)
    assert promised(out) == before == promised(built)


def test_a_cancelled_build_goes_on_with_the_same_command(
    site: Site, slow_recipe: dict, slow_built: Path, photos: Path, out: Path
) -> None:
    build(photos, out, "throttle=1", recipe=slow_recipe)
    until(lambda: markers(out), "a first shard")
    done = CliRunner().invoke(main, ["cancel", str(out)])
    assert done.exit_code == 0, done.output
    assert "Slurm jobs ended" in done.output
    assert not site.run("squeue", "-h")
    finished = stamps(out)
    assert 0 < len(finished) < 6
    assert not (out / "index.parquet").exists()
    result = build(photos, out, recipe=slow_recipe)
    assert result.submitted.tasks == 6 - len(finished), "only what is pending is in the array"
    site.drain(300)
    assert_nothing_lost_nothing_twice(out, slow_built)
    assert {path: stamps(out)[path] for path in finished} == finished, "no finished shard was written again"


def test_a_killed_task_starts_its_work_again(
    site: Site, slow_recipe: dict, slow_built: Path, photos: Path, out: Path
) -> None:
    build(photos, out, "shards_per_task=6", recipe=slow_recipe)
    until(lambda: markers(out), "a first shard")

    def at_work() -> list[int]:
        found = [json.loads(p.read_text()) for p in (out / "log").glob("*.json")]
        return [r["pid"] for r in found if not r["done"]]

    until(at_work, "a shard at work")
    finished = stamps(out)
    os.kill(at_work()[0], signal.SIGKILL)
    site.drain(300)
    assert "ended with status 137" in logs(out)
    assert_nothing_lost_nothing_twice(out, slow_built)
    assert {path: stamps(out)[path] for path in finished} == finished


def test_a_node_that_goes_down_and_comes_back_loses_nothing(
    site: Site, slow_recipe: dict, slow_built: Path, photos: Path, out: Path
) -> None:
    build(photos, out, "shards_per_task=6", recipe=slow_recipe)
    until(lambda: markers(out), "a first shard")
    site.run("scontrol", "update", f"nodename={site.host}", "state=down", "reason=test")
    until(lambda: "RUNNING" not in site.run("squeue", "-h", "-o", "%T"), "the task to end")
    finished = stamps(out)
    assert len(finished) < 6
    assert slurm.active(slurm.job_name(out)), "Slurm keeps the task for later"
    site.bring_back()
    # Slurm holds what it queued again for two minutes; a test need not.
    submit.cancel(out)
    build(photos, out, recipe=slow_recipe)
    site.drain(300)
    assert_nothing_lost_nothing_twice(out, slow_built)
    assert {path: stamps(out)[path] for path in finished} == finished


@pytest.mark.slow
@pytest.mark.parametrize("event", ["requeue", "time limit", "node down"])
def test_a_task_that_slurm_queues_again_goes_on_by_itself(
    event: str, site: Site, slow_recipe: dict, slow_built: Path, photos: Path, out: Path
) -> None:
    build(photos, out, "shards_per_task=6", "time=2" if event == "time limit" else "time=10", recipe=slow_recipe)
    until(lambda: markers(out), "a first shard")
    array = site.run("squeue", "-h", "-t", "R", "-o", "%i").split()[0]
    match event:
        case "requeue":
            site.run("scontrol", "requeue", array)
        case "node down":
            site.run("scontrol", "update", f"nodename={site.host}", "state=down", "reason=test")
            until(lambda: "RUNNING" not in site.run("squeue", "-h", "-o", "%T"), "the task to end")
            site.bring_back()
        case "time limit":  # what Slurm itself sends `warn` seconds before
            site.run("scancel", "--signal=USR1", "--batch", array)
    until(lambda: "RUNNING" not in site.run("squeue", "-h", "-o", "%T"), "the task to end")
    finished = stamps(out)
    assert 0 < len(finished) < 6
    site.drain(400)
    assert_nothing_lost_nothing_twice(out, slow_built)
    assert {path: stamps(out)[path] for path in finished} == finished


def test_a_node_that_makes_other_bytes_refuses_and_status_says_why(site: Site, photos: Path, out: Path) -> None:
    build(photos, out, "shards_per_task=4", 'setup=["export ONEDNN_MAX_CPU_ISA=SSE41"]')
    site.drain(300)
    assert not markers(out)
    text = status.summary(status.status(out))
    assert "1 tasks ended: this machine would make other bytes than the one that planned the dataset (cpu:" in text
    build(photos, out, "shards_per_task=4")
    site.drain(300)
    assert "tasks ended" not in status.summary(status.status(out))
    assert status.status(out).complete == 4


def test_a_node_can_be_asked_what_the_bytes_depend_on(site: Site, photos: Path, out: Path) -> None:
    """Where nodes are another kind than the machine that submits, the plan is the nodes'."""
    build(photos, out, "planning=node", "shards_per_task=4", 'setup=["export ONEDNN_MAX_CPU_ISA=SSE41"]')
    site.drain(300)
    assert status.status(out).complete == 4, logs(out)
    from sketchprep.datasets.layout import read_recipe

    assert read_recipe(out)["depends_on"]["cpu"].endswith("capped at SSE41")


def test_watch_shows_the_bar_of_a_local_build_until_the_end(site: Site, photos: Path, out: Path) -> None:
    build(photos, out, "throttle=1")
    done = CliRunner().invoke(main, ["status", "--watch", str(out)])
    assert done.exit_code == 0, done.output
    assert "building: 6/6 photos" in done.output
    assert "4 of 4 shards complete" in done.output
    site.drain(300)


def test_too_many_failures_stop_the_tasks(site: Site, photos: Path, out: Path) -> None:
    for number in range(6):
        (photos / f"a-broken-{number}.jpg").write_bytes(b"\xff\xd8 no picture %d" % number)
    build(photos, out, "throttle=1", max_failures=1)
    site.drain(300)
    assert 0 < len(markers(out)) < 6
    assert "too many photos failed" in logs(out)
