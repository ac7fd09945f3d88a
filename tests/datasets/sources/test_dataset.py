"""A built dataset as a source: stages are added to what is stored, and nothing stored is made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from quick import QUICK
from small_builds import NETWORKS, build

import sketchprep
from sketchprep.cli.main import main
from sketchprep.datasets import sources, status, verify
from sketchprep.errors import SampleError, UserError
from sketchprep.ops.labels import label_map

Make = Callable[..., Path]
TAKEN_OVER = {"sources": ["dataset"], "split": {"method": "official"}}
# What needs no network of NETWORKS, photos without loss.
FIRST: dict[str, Any] = {
    **NETWORKS,
    "name": "first",
    "stages": QUICK["stages"],
    "sketch": "simplify",
    "store": ["canny", "photocopy"],
    "photo": {"format": "png"},
}
# Landmarks are stored to a thousandth of a pixel: `whole`, which reads them, may decide a stroke otherwise.
BOTH: dict[str, Any] = {
    **NETWORKS,
    "photo": {"format": "png"},
    "sketch": "drawn",
    "store": ["canny", "seen", "simplify"],
}


def pictures(out: Path) -> dict[str, dict[str, bytes]]:
    """The stored pictures of every pair by its id."""
    return {
        pair.id: {name: data for name, data in pair.files.items() if name != "json"}
        for pair in sketchprep.open_pairs(out)
    }


def test_two_builds_in_turn_make_the_pictures_of_one(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "one", BOTH)
    build(photos, tmp_path / "first", FIRST)
    shutil.rmtree(photos)
    result = build(tmp_path / "first", tmp_path / "second", {**BOTH, **TAKEN_OVER})
    assert (result.made, result.failed) == (6, 0)
    assert verify.verify(tmp_path / "second") == []
    assert pictures(tmp_path / "second") == pictures(tmp_path / "one")
    first, second = (sketchprep.open_pairs(tmp_path / name) for name in ("first", "second"))
    for pair in first:
        again = second.find(pair.id)
        assert (again.split, again.row["attributes"]) == (pair.split, pair.row["attributes"])
        assert (again.row["landmarks"], again.row["pose"]) == (pair.row["landmarks"], pair.row["pose"])
    seconds = status.status(tmp_path / "second").seconds
    assert seconds.keys() >= {"seen", "drawn"}
    assert not seconds.keys() & {"landmarks", "canny", "photocopy", "simplify"}, "what was stored is not made again"


def test_the_photos_own_bytes_are_taken_over(built: Path, tmp_path: Path) -> None:
    stages = {**QUICK["stages"], "edges": {"op": "canny", "low": 40, "high": 90}}
    more = {**QUICK, **TAKEN_OVER, "name": "more", "stages": stages, "store": ["photocopy", "canny", "edges"]}
    build(built, tmp_path / "more", more)
    before, after = pictures(built), pictures(tmp_path / "more")
    assert before.keys() == after.keys()
    for id_, files in before.items():
        assert after[id_].items() > files.items()
    assert "edges" in status.status(tmp_path / "more").seconds


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        ({"stages": {**QUICK["stages"], "canny": {"low": 40}}}, {"canny"}),
        (
            {"stages": {**QUICK["stages"], "photocopy": {"variant": "gegl", "sharpness": 0.9}}},
            {"photocopy", "simplify"},
        ),
        ({"size": 64}, {"canny", "photocopy", "simplify"}),
    ],
    ids=["stage", "stage-that-another-reads", "size"],
)
def test_what_is_defined_otherwise_is_made_anew(built: Path, tmp_path: Path, change: dict, ran: set) -> None:
    build(built, tmp_path / "new", {**QUICK, **TAKEN_OVER, "name": "new", **change})
    seconds = status.status(tmp_path / "new").seconds
    assert seconds.keys() & QUICK["stages"].keys() == ran
    for pair, before in zip(sketchprep.open_pairs(tmp_path / "new"), sketchprep.open_pairs(built), strict=True):
        scale = len(pair.photo) / len(before.photo)
        expected = (before.landmarks + 0.5) * scale - 0.5
        np.testing.assert_allclose(pair.landmarks, expected, atol=2e-3)


def test_label_maps_come_back_as_masks(drawn: Make) -> None:
    folder = drawn(labelled=[0, 2])
    source = sources.open_source("dataset", folder)
    pairs = sketchprep.open_pairs(folder)
    found = {sample.id: source.masks(sample) for sample in source.samples()}
    assert sum(map(bool, found.values())) == 2
    for pair in pairs:
        if found[pair.id]:
            np.testing.assert_array_equal(label_map(found[pair.id]), pair["labels"])


def test_a_shard_that_is_cut_or_missing_fails_its_photos_only(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(built, folder)
    source = sources.open_source("dataset", folder)
    cut, missing, whole = sorted((folder / "shards").glob("train*.tar"))
    cut.write_bytes(cut.read_bytes()[:1000])
    missing.unlink()
    kinds = {}
    for sample in source.samples():
        try:
            digest, picture = source.load(sample)
            assert digest == source.digest(sample)
            assert picture.photo.shape == (128, 128, 3)
        except SampleError as error:
            kinds.setdefault(sample.path.partition("/")[0], set()).add(error.kind)
    assert kinds == {cut.stem: {"truncated"}, missing.stem: {"unreadable"}}
    assert whole.exists()


def test_what_is_no_finished_dataset_is_one_sentence(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"root='.*': holds no finished dataset"):
        sources.open_source("dataset", photos)
    with pytest.raises(UserError, match="`sketchprep pull`"):
        sources.open_source("dataset", "s3://bucket/data")


def test_the_command_line_describes_and_plans_it(built: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["sources", "dataset", "--root", str(built)])
    assert told.exit_code == 0, told.output
    assert "6" in told.output
    command = ["plan", "--source", "dataset", "--root", str(built), "--recipe", "celebamask-hq", "--set", "size=128"]
    planned = CliRunner().invoke(main, [*command, "--set", "split.method=official", "-o", str(tmp_path / "more")])
    assert planned.exit_code == 0, planned.output
    assert "6 listed" in planned.output
    assert "(1 test, " in planned.output
