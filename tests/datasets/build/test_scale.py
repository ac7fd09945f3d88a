"""Many photos take no more memory than some: plan, submission, merge and questions, each in its own process.

`tests/benchmarks/bench_scale.py` prints the figures.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from quick import QUICK
from scale import Site, finish_shards

from sketchprep.datasets import plan, reports, status
from sketchprep.datasets.build.monitor import BuildWatcher

STEPS = ("estimate", "submit", "merge", "status", "failures", "find", "resume")
RECIPE = {**QUICK, "shard_size": 1000, "split": {"test": 100, "of": 1000}}


def peaks(
    folder: Path, like: Path, rows: int, steps: tuple[str, ...] = STEPS, *, shuffled: bool = False
) -> dict[str, float]:
    """Peak memory of each step in MB; what the steps answer is checked on the way."""
    site = Site(folder, RECIPE, rows, shuffled=shuffled)
    shards = -(-(rows - 100) // 1000) + 1
    bad = sum(-(-size // 50) for size in (100, *[1000] * (shards - 2), (rows - 101) % 1000 + 1))
    found = {}
    for step in steps:
        if step == "resume":
            (site.out / "shards" / f"train-{shards - 2:06d}.parquet").unlink()
        _, found[step], result = site.run("submit" if step == "resume" else step)
        if step == "estimate":
            assert f"{rows:,} listed, {rows:,} planned at most (100 test, {rows - 100:,} train)" in result
        elif step == "submit":
            assert (result[1], result[2]) == (-(-shards // 1000), shards)  # an array has at most 1,000 tasks
            assert finish_shards(site.out, like) == rows
        elif step == "status":
            assert result == [rows, rows - bad, bad, shards]
        elif step == "failures":
            assert f"... and {bad - 20} more" in result
        elif step == "find":
            assert result[1]
        elif step == "resume":
            assert result[2] == 1
    index = pq.read_table(site.out / "index.parquet", columns=["id", "shard"])
    assert len(index) == rows - bad
    assert len(index["id"].unique()) == len(index)
    names = index["shard"].to_pylist()
    assert names == sorted(names)
    return found


def test_memory_hardly_grows_with_the_rows(built: Path, tmp_path: Path) -> None:
    steps = ("submit", "merge", "status")
    few = peaks(tmp_path / "few", built, 5_000, steps)
    many = peaks(tmp_path / "many", built, 100_000, steps)
    growth = {step: many[step] - few[step] for step in steps}
    # Sixteen bytes a row and some buffers are wanted; rows as Python objects take over a kilobyte: 130 MB.
    assert max(growth.values()) < 75, growth


@pytest.mark.slow
def test_a_million_rows_in_little_memory(built: Path, tmp_path: Path) -> None:
    found = peaks(tmp_path / "million", built, 1_000_000, shuffled=True)
    assert max(found.values()) < 500, found


def test_watching_opens_only_what_may_have_changed(built: Path, tmp_path: Path, monkeypatch) -> None:
    site = Site(tmp_path / "site", {**RECIPE, "shard_size": 20}, 2000)
    site.run("submit")
    finish_shards(site.out, built)
    names = plan.shard_names(site.out / "plan.parquet")
    for name in names[:3]:
        (site.out / "shards" / f"{name}.parquet").unlink()
    (site.out / "log" / f"{names[0]}.json").write_text('{"counts": {"pair": 7}, "done": false}')
    (site.out / "log" / f"{names[1]}.json").unlink()
    opened = []
    read = reports.read_report
    monkeypatch.setattr(reports, "read_report", lambda path: opened.append(path.stem) or read(path))
    watcher = BuildWatcher(site.out, plan.shard_sizes(site.out / "plan.parquet"))
    first = watcher.look()
    assert len(opened) == len(names) - 1
    assert sum(first.values()) == 7 + 20 * (len(names) - 2), "two shards have no sign of life, or little"
    opened.clear()
    assert watcher.look() == first
    assert opened == names[:1], "the one that is at work"


def test_status_of_a_merged_dataset_asks_no_shard(built: Path, tmp_path: Path, monkeypatch) -> None:
    site = Site(tmp_path / "site", RECIPE, 3000)
    site.run("submit")
    finish_shards(site.out, built)
    before = status.status(site.out)
    site.run("merge")
    monkeypatch.setattr(status, "read_shard_meta", None)
    monkeypatch.setattr(status, "read_reports", None)
    after = status.status(site.out)
    assert after == before
    assert (after.pairs, after.rejected, after.measured) == (2940, 60, 3000)
    for path in (site.out / "shards").iterdir():
        path.write_bytes(b"")
    assert "... and 40 more" in status.failures_text(site.out)
