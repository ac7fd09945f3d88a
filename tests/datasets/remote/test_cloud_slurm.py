"""Job arrays and Dask workers that build into an object store."""

from __future__ import annotations

from pathlib import Path

import pytest
from quick import QUICK
from slurm_fixtures import site, slurm_daemons  # noqa: F401

import sketchprep
from sketchprep.errors import UserError

pytestmark = pytest.mark.integration
SMALL = ["memory=400M", "cpus=1", "time=10"]


def test_an_array_builds_into_a_store(site, bucket, stored_photos, expected, tmp_path: Path) -> None:  # noqa: F811
    words = {"recipe": QUICK, "root": str(stored_photos), "out": str(bucket.url / "data"), "quiet": True}
    with pytest.raises(UserError, match="name with `scratch` a folder that all machines see"):
        sketchprep.build(**words, executor="slurm", slurm=SMALL)
    sent = sketchprep.build(**words, executor="slurm", slurm=SMALL, scratch=tmp_path / "scratch").submitted
    assert sent is not None
    site.drain(300)
    logs = "\n".join(p.read_text() for p in (tmp_path / "scratch").rglob("*.log"))
    assert bucket.promised() == expected, logs
    assert not list((tmp_path / "scratch").rglob("*.tar")), "tars lie in the store alone"


def test_dask_workers_build_into_a_store(bucket, stored_photos, expected, tmp_path: Path) -> None:
    out = str(bucket.url / "data")
    sketchprep.build(recipe=QUICK, root=str(stored_photos), out=out, backend="dask", quiet=True)
    assert bucket.promised() == expected
