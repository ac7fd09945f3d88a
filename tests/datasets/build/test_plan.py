"""Planning: which photos, which split, which shard; the same whatever the order on the disk."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from sketchprep.datasets import plan, sources
from sketchprep.datasets.build import plan_changes, planner
from sketchprep.datasets.build.planner import list_sources
from sketchprep.errors import UserError
from sketchprep.sketching import recipe

VALUES = {"name": "x", "sources": ["folder"], "stages": {"canny": {}}, "sketch": "canny", "shard_size": 4}


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8))


def corpus(root: Path, count: int, order: int = 0) -> Path:
    numbers = list(range(count))
    random.Random(order).shuffle(numbers)
    for number in numbers:
        draw(root / f"{number:03d}.png", number)
    return root


def make(root: Path, before=None, **changes):
    rec = recipe.load({**VALUES, **changes})
    opened = [sources.open_source("folder", root)]
    return planner.make_plan(rec, list_sources(opened, rec.limit), before=before)


def test_order_on_the_disk_does_not_matter(tmp_path: Path) -> None:
    tables = [make(corpus(tmp_path / str(order), 20, order)) for order in range(3)]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_every_photo_is_in_one_shard_of_the_right_size(tmp_path: Path) -> None:
    table = make(corpus(tmp_path / "c", 23), split={"test": 5, "of": 23})
    shards = plan.shards(table)
    ordinals = [o for shard in shards.values() for o in shard.ordinals]
    assert sorted(ordinals) == list(range(23))
    assert {name: len(s) for name, s in shards.items()} == {
        "test-000000": 4,
        "test-000001": 1,
        "train-000000": 4,
        "train-000001": 4,
        "train-000002": 4,
        "train-000003": 4,
        "train-000004": 2,
    }
    assert all(list(s.ordinals) == sorted(s.ordinals) for s in shards.values())


def test_the_seed_draws_the_test_photos(tmp_path: Path) -> None:
    root = corpus(tmp_path / "c", 30)
    tests = [
        frozenset(
            r["id"] for r in make(root, seed=seed, split={"test": 6, "of": 30}).to_pylist() if r["split"] == "test"
        )
        for seed in (0, 1, 2)
    ]
    assert all(len(t) == 6 for t in tests)
    assert len(set(tests)) == 3


def test_a_photo_that_comes_or_goes_moves_no_other_between_splits(tmp_path: Path) -> None:
    root = corpus(tmp_path / "c", 30)
    split = {"test": 6, "of": 30}
    before = {r["id"]: r["split"] for r in make(root, split=split).to_pylist()}
    (root / "007.png").unlink()
    after = {r["id"]: r["split"] for r in make(root, split=split).to_pylist()}
    assert sum(before[i] != after[i] for i in after) <= 1  # a test photo's place may fall to the next in rank


def test_exact_duplicates_are_dropped_and_the_first_id_wins(tmp_path: Path) -> None:
    root = corpus(tmp_path / "c", 5)
    (root / "zz-copy.png").write_bytes((root / "003.png").read_bytes())
    (root / "000-copy.png").write_bytes((root / "004.png").read_bytes())
    dropped = {f.id: f for f in plan.failures(make(root))}
    assert set(dropped) == {"zz-copy.png", "004.png"}
    assert dropped["zz-copy.png"].kind == "duplicate"
    assert "003.png" in dropped["zz-copy.png"].message
    assert dropped["zz-copy.png"].rejected


def test_extending_appends_and_changes_nothing_that_was_planned(tmp_path: Path) -> None:
    root = corpus(tmp_path / "c", 10)
    before = make(root, split={"test": 2, "of": 10})
    for number in range(10, 16):
        draw(root / f"00{number}-new.png", number)  # sorts before most of the old ones
    (root / "new-copy.png").write_bytes((root / "002.png").read_bytes())
    added = make(root, before=before, split={"test": 2, "of": 10})
    planned = tmp_path / "plan.parquet"
    pq.write_table(before, planned)
    rec = recipe.load({**VALUES, "split": {"test": 2, "of": 10}})
    with planner.plan_samples(rec, list_sources([sources.open_source("folder", root)]), before=planned) as draft:
        planner.write_plan(planned, draft, before=planned)
    whole = pq.read_table(planned)
    assert whole.slice(0, len(before)).equals(before)
    assert whole.slice(len(before)).equals(added)
    old, new = (set(t["shard"].to_pylist()) - {None} for t in (before, added))
    assert not old & new
    assert [r["kind"] for r in added.to_pylist() if r["id"] == "new-copy.png"] == ["duplicate"]
    ordinals = [o for o in whole["ordinal"].to_pylist() if o is not None]
    assert sorted(ordinals) == list(range(16))


def test_a_changed_source_is_refused_with_the_remedy(tmp_path: Path) -> None:
    root = corpus(tmp_path / "c", 6)
    table = make(root)

    def check(**options):
        listing = list_sources([sources.open_source("folder", root)])
        return plan_changes.check_listing(table, listing, **{"extend": False, **options})

    assert check() == 0
    draw(root / "new.png", 99)
    with pytest.raises(UserError, match=r"1 photos that were not planned.*'new.png'.*`extend`"):
        check()
    assert check(extend=True) == 1
    (root / "new.png").unlink()
    (root / "002.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"1 photos changed their size.*'002.png'"):
        check()
    assert check(mended={("folder", "002.png")}) == 0
    (root / "002.png").unlink()
    with pytest.raises(UserError, match="1 planned photos are gone"):
        check(extend=True)


def test_no_photo_at_all_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(UserError, match="no photo"):
        make(tmp_path)


def test_limit_takes_the_first_ids(tmp_path: Path) -> None:
    table = make(corpus(tmp_path / "c", 9), limit=4)
    assert table["id"].to_pylist() == ["000.png", "001.png", "002.png", "003.png"]


def test_annotations_are_judged_before_any_photo_is_opened(tmp_path: Path) -> None:
    root = corpus(tmp_path / "c", 4)
    (root / "attributes.csv").write_text("id,Eyeglasses,Male\n000.png,1,0\n001.png,0,1\n002.png,0,0\n")
    rec = recipe.load({**VALUES, "select": {"exclude_attributes": ["Eyeglasses"]}})
    opened = [sources.open_source("folder", root, attributes="attributes.csv")]
    table = planner.make_plan(rec, list_sources(opened))
    failures = plan.failures(table)
    assert [(f.id, f.kind, f.rejected) for f in failures] == [("000.png", "attribute", True)]
    assert "Eyeglasses" in failures[0].message
    assert table["attributes"].to_pylist()[1] == ["Male"]
    assert table["attributes"].to_pylist()[3] is None  # no annotation is not the same as no attribute


def test_official_split_needs_the_corpus_to_say_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"split.method=official.*split.method=share"):
        make(corpus(tmp_path / "c", 3), split={"method": "official"})
