"""Tampered tables and recipes: every command answers with a sentence or a right result."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from damage import damages
from small_builds import build

import sketchprep
from sketchprep.datasets import preview, status, verify
from sketchprep.datasets.components.crop import crop_components
from sketchprep.datasets.export.export import export
from sketchprep.errors import SampleError, UserError

FILES = (
    "plan.parquet", "index.parquet", "failures.parquet", "recipe.yaml", "shards/train-000000.parquet",
    "shards/train-000000.tar", "log/merged",
)  # fmt: skip


def read_pairs(data: Path, out: Path) -> None:
    for pair in sketchprep.open_pairs(data):
        assert len(repr(pair)) < 1000
        with contextlib.suppress(SampleError):  # bytes of a picture
            assert pair.photo.shape[2] == 3
            assert pair.sketch.ndim == 2
        assert pair.landmarks is None or pair.landmarks.shape == (68, 2)


def merge_again(data: Path, out: Path) -> None:
    (data / "index.parquet").unlink(missing_ok=True)
    build(data.parent / "photos", data)


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "status": lambda data, out: status.summary(status.status(data)),
    "failures": lambda data, out: status.failures_text(data),
    "verify": lambda data, out: verify.verify(data),
    "preview": lambda data, out: preview.preview(data, people=2),
    "pairs": read_pairs,
    "export": lambda data, out: export(data, "pix2pix", out, limit=1),
    "crop": lambda data, out: crop_components(data, out, images=False),
    "resume": lambda data, out: build(data.parent / "photos", data),
    "merge": merge_again,
}


def try_damage(built: Path, folder: Path, seed: int) -> None:
    """Damage one file of a dataset and run one command on it."""
    rng = random.Random(seed)
    data = folder / f"{seed}" / "data"
    shutil.copytree(built, data)
    (data.parent / "photos").symlink_to(built.parent / "photos")
    path = data / rng.choice(FILES)
    rng.choice(damages(path))(path, rng)
    if rng.random() < 0.3:
        (data / "log/merged").unlink(missing_ok=True)
    name, sentence = rng.choice(list(COMMANDS)), ""
    try:
        COMMANDS[name](data, data.parent / "out")
    except UserError as error:
        sentence = str(error)
    except Exception as error:
        pytest.fail(f"{name} after seed {seed} on {path.name}: {error!r}")
    assert "\n" not in sentence
    assert len(sentence) < 1000
    shutil.rmtree(data.parent)


@pytest.mark.parametrize("seeds", [range(150), pytest.param(range(150, 5000), marks=pytest.mark.slow)], ids=str)
def test_damaged_files_are_sentences(seeds: range, built: Path, tmp_path: Path) -> None:
    for seed in seeds:
        try_damage(built, tmp_path, seed)


def test_columns_that_an_earlier_version_did_not_write_are_null(built: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(built, data)
    for path, lacking in (
        (data / "index.parquet", ["face_score", "unseen"]),
        (data / "plan.parquet", ["phash", "alike"]),
    ):
        pq.write_table(pq.read_table(path).drop_columns(lacking), path)
    assert sketchprep.open_pairs(data)[0].row["face_score"] is None
    assert status.status(data).pairs == len(sketchprep.open_pairs(data))
    assert verify.verify(data) == []


@pytest.mark.parametrize(
    ("name", "column", "command", "words"),
    [
        ("index.parquet", "members", "pairs", "merged again"), ("plan.parquet", "shard", "status", "new folder"),
        ("failures.parquet", "kind", "failures", "merged again"),
    ],
)  # fmt: skip
def test_a_table_that_lacks_a_column_names_the_file_and_the_remedy(
    name: str, column: str, command: str, words: str, built: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(built, data)
    pq.write_table(pq.read_table(data / name).drop_columns([column]), data / name)
    with pytest.raises(UserError, match=rf"{name}: is damaged \(.*{column}.*{words}"):
        COMMANDS[command](data, tmp_path)


def test_a_shard_that_lacks_a_column_is_a_fault(built: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(built, data)
    path = data / "shards/train-000000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["id"]), path)
    (fault,) = verify.verify(data)
    assert "is damaged; delete shards/train-000000.parquet" in fault
