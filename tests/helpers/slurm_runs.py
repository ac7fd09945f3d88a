"""What the tests of real Slurm builds share: submitting, waiting, and comparing a dataset's bytes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from quick import QUICK

import sketchprep
from sketchprep.datasets import verify

SMALL = ("memory=400M", "cpus=1", "time=10")


def promised(out: Path) -> dict[str, str]:
    paths = [*(out / n for n in ("index.parquet", "plan.parquet", "recipe.yaml")), *sorted((out / "shards").iterdir())]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def build(photos: Path, out: Path, *words: str, recipe=QUICK, **options) -> sketchprep.datasets.build.build.Result:
    return sketchprep.build(
        recipe=recipe, root=photos, out=out, executor="slurm", slurm=[*SMALL, *words], quiet=True, **options
    )


def until(ready: Callable[[], object], what: str, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def markers(out: Path) -> list[Path]:
    return list((out / "shards").glob("*.parquet"))


def stamps(out: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in markers(out)}


def logs(out: Path) -> str:
    return "\n".join(f"--- {p.name}\n{p.read_text()}" for p in sorted((out / "log" / "slurm").glob("*.log")))


def assert_nothing_lost_nothing_twice(out: Path, expected: Path) -> None:
    assert (out / "README.md").exists(), logs(out)
    assert promised(out) == promised(expected), logs(out)
    ids = pq.read_table(out / "index.parquet")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == len(sketchprep.open_pairs(expected))
    assert verify.verify(out) == []
    assert not list((out / "shards").glob(".*")), "no litter"
