"""Two passes by a real Slurm: two arrays chained task by task, and the bytes of one pass on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from slurm_runs import logs, markers
from slurm_site import Site
from two_passes import build, promised

import sketchprep
from sketchprep.cluster import slurm
from sketchprep.datasets import status, verify
from sketchprep.datasets.build import halfway
from sketchprep.datasets.reader import read_recipe
from sketchprep.errors import UserError

WORDS = ("memory=400M", "cpus=1", "time=10", "settle=3", "network.cpus=1", "network.throttle=1")


def send(photos: Path, out: Path, *words: str) -> sketchprep.datasets.build.build.Result:
    return build(photos, out, executor="slurm", slurm=[*WORDS, *words], jobs=None)


def test_two_arrays_make_the_bytes_of_one_pass(site: Site, one_pass: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data with 100% spaces"
    sent = send(photos, out, "shards_per_task=2").submitted
    assert sent is not None
    assert sent.second is not None
    assert sent.tasks == 2
    waiting = site.run("squeue", "-h", "-r", "-j", sent.second, "-o", "%E")
    assert f"aftercorr:{sent.array}" in waiting
    with pytest.raises(UserError, match="Slurm jobs are at work there"):
        build(photos, out, "network")
    site.drain(300)
    assert promised(out) == promised(one_pass), logs(out)
    assert verify.verify(out) == []
    assert not (out / halfway.FOLDER).exists()


@pytest.mark.slow
def test_a_task_that_fails_in_its_first_pass_costs_only_its_own_shards(
    site: Site, one_pass: Path, photos: Path, tmp_path: Path
) -> None:
    """The task of that number in the second array must not wait for ever, nor the merging job for it."""
    out = tmp_path / "data"
    send(photos, out, "attempts=1", 'setup=["[ \\"$SLURM_ARRAY_TASK_ID\\" = 1 ] && exit 3 || true"]')
    site.drain(300)
    assert len(markers(out)) == 2, logs(out)
    assert "1 of 3 shards are not there" in logs(out)
    finished = {path: path.stat().st_mtime_ns for path in markers(out)}
    sent = send(photos, out).submitted
    assert (sent.tasks, sent.shards) == (1, 1), "only what is pending is in the arrays"
    site.drain(300)
    assert promised(out) == promised(one_pass), logs(out)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


@pytest.mark.slow
def test_each_array_plans_for_its_own_kind_of_node_and_others_refuse(site: Site, photos: Path, tmp_path: Path) -> None:
    """The first pass' nodes have other CPU features than the second's; both are asked before anything is planned."""
    out = tmp_path / "data"
    kind = 'setup=["case $SLURM_CPUS_PER_TASK in 2) export ONEDNN_MAX_CPU_ISA=SSE41;; esac"]'
    send(photos, out, "planning=node", kind, "cpus=2", "network.cpus=1", "shards_per_task=3")
    site.drain(300)
    depends_on = read_recipe(out)["depends_on"]
    assert depends_on["cpu_pass"]["cpu"].endswith("capped at SSE41")
    assert not depends_on["cpu"].endswith("SSE41")
    assert status.status(out).complete == 3, logs(out)
    (out / "shards" / "test-000000.parquet").unlink()
    send(photos, out, "cpus=1")
    site.drain(300)
    text = status.summary(status.status(out))
    assert "1 tasks ended: this machine would make other bytes than the one that planned the dataset (cpu:" in text
    assert not slurm.active(slurm.job_name(out))
