"""An index that is too long to hold is memory-mapped, and gives the same pairs as one that is held."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sketchprep
from sketchprep.datasets import reader
from sketchprep.errors import UserError


@pytest.fixture
def long(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The six pairs forty times over, in row groups of 25, and nothing longer than 100 rows is held."""
    out = tmp_path / "data"
    shutil.copytree(built, out)
    index = pq.read_table(out / "index.parquet").sort_by([("split", "ascending"), ("ordinal", "ascending")])
    copies = []
    for number in range(40):
        ids = pa.array([f"{number:02d}-{id_}" for id_ in index["id"].to_pylist()])
        copies.append(index.set_column(index.column_names.index("id"), "id", ids))
    whole = pa.concat_tables(copies).sort_by([("split", "ascending"), ("id", "ascending")])
    pq.write_table(whole, out / "index.parquet", row_group_size=25)
    monkeypatch.setattr(reader, "HELD_ROWS", 100)
    monkeypatch.setenv("SKETCHPREP_CACHE", str(tmp_path / "cache"))
    return out


@pytest.mark.parametrize("split", [None, "train", "test"])
def test_rows_are_those_of_the_whole_table(long: Path, split: str | None) -> None:
    rows = pq.read_table(long / "index.parquet").to_pylist()
    expected = [row for row in rows if split in (None, row["split"])]
    pairs = sketchprep.open_pairs(long, split)
    assert len(pairs) == len(expected) > 0
    order = [*range(len(pairs)), 3, len(pairs) - 1, 0, -1]
    assert [pairs[n].row for n in order] == [expected[n] for n in order]
    again = pickle.loads(pickle.dumps(pairs))
    assert again[5].photo.shape == pairs[5].photo.shape
    assert again[5].row == expected[5]


def test_a_few_rows_are_read_without_a_copy(long: Path, tmp_path: Path) -> None:
    expected = [row for row in pq.read_table(long / "index.parquet").to_pylist() if row["split"] == "train"]
    pairs = sketchprep.open_pairs(long, "train")
    for number in range(reader.FEW_ROWS):
        assert pairs[number * 3].row == expected[number * 3]
    assert not (tmp_path / "cache" / "indexes").exists()
    assert pairs[1].row == expected[1]
    assert len(list((tmp_path / "cache" / "indexes").rglob("*.arrow"))) == 1


def test_a_pair_is_found_by_its_id(long: Path, built: Path) -> None:
    for folder in (long, built):
        pairs = sketchprep.open_pairs(folder, "train")
        row = pairs[-1].row
        assert pairs.find(row["id"]).row == row
        assert pairs.find(row["id"], row["source"]).row == row
        for words in ((row["id"], "elsewhere"), ("no such photo",), (sketchprep.open_pairs(folder, "test")[0].id,)):
            with pytest.raises(KeyError, match="no pair"):
                pairs.find(*words)


def test_a_copy_of_an_index_that_changed_is_replaced(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "FEW_ROWS", 0)
    assert len(list(sketchprep.open_pairs(long)[:3])) == 3
    (before,) = (tmp_path / "cache" / "indexes").rglob("*.arrow")
    rows = pq.read_table(long / "index.parquet")
    pq.write_table(rows.slice(1), long / "index.parquet", row_group_size=25)
    assert sketchprep.open_pairs(long)[0].row == rows.slice(1, 1).to_pylist()[0]
    (after,) = (tmp_path / "cache" / "indexes").rglob("*.arrow")
    assert after != before


def test_a_copy_of_an_index_that_is_gone_is_removed(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "FEW_ROWS", 0)
    first = sketchprep.open_pairs(long)[0].row
    moved = long.rename(tmp_path / "moved")
    assert sketchprep.open_pairs(moved)[0].row == first
    (copy,) = (tmp_path / "cache" / "indexes").rglob("*.arrow")
    assert (copy.parent / "index").read_text() == str(moved / "index.parquet")


def test_a_split_whose_rows_lie_apart(long: Path) -> None:
    rows = pq.read_table(long / "index.parquet").sort_by("ordinal")
    pq.write_table(rows, long / "index.parquet", row_group_size=25)
    expected = [row for row in rows.to_pylist() if row["split"] == "train"]
    assert [pair.row for pair in sketchprep.open_pairs(long, "train")] == expected


def test_a_split_that_is_not_there_is_named(long: Path) -> None:
    with pytest.raises(UserError, match="no split 'val', only test, train"):
        sketchprep.open_pairs(long, "val")


def test_who_needs_a_column_still_gets_the_table(long: Path) -> None:
    pairs = sketchprep.open_pairs(long, "train")
    ids = [pairs[n].id for n in range(len(pairs))]
    assert pairs.table["id"].to_pylist() == ids
    assert pairs[7].id == ids[7]
