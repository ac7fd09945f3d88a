"""Builds from a list of photos: the same pairs, whatever the list's order, and duplicates found at the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from quick import QUICK

import sketchprep
from sketchprep.cli.main import main
from sketchprep.datasets import status, verify
from sketchprep.errors import UserError


def build(photos: Path, out: Path, list_: Path | None = None, **options):
    return sketchprep.build(recipe=QUICK, root=photos, out=out, jobs=1, quiet=True, photo_list=list_, **options)


def write_list(path: Path, names: list[str]) -> Path:
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def promised(out: Path) -> dict[str, bytes]:
    names = ("index.parquet", "failures.parquet", "plan.parquet", "recipe.yaml")
    files = [*(out / "shards").iterdir(), *(out / name for name in names)]
    return {path.name: path.read_bytes() for path in files}


def test_a_list_of_the_whole_folder_gives_the_folders_pairs(built: Path, photos: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in photos.iterdir())
    out, other = tmp_path / "data", tmp_path / "other"
    build(photos, out, write_list(tmp_path / "list", names))
    ours, folders = (pq.read_table(data / "index.parquet") for data in (out, built))
    assert ours.equals(folders)
    assert {p.name: p.read_bytes() for p in (out / "shards").iterdir()} == {
        p.name: p.read_bytes() for p in (built / "shards").iterdir()
    }
    planned = pq.read_table(out / "plan.parquet")
    assert set(planned["sha256"].to_pylist()) == {None}, "no photo is opened for the plan"
    assert build(photos, out, tmp_path / "list").made == 0
    build(photos, other, write_list(tmp_path / "turned", [*names[::-1], names[2]]))
    assert promised(other) == promised(out)


def test_what_is_not_on_the_list_is_left_out_and_a_changed_list_is_refused(photos: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in photos.iterdir())
    out = tmp_path / "data"
    result = build(photos, out, write_list(tmp_path / "list", [*names[:2], "nowhere.jpg", "../secret.jpg"]))
    assert {pair.id for pair in sketchprep.open_pairs(out)} == set(names[:2])
    assert result.failed == 1
    kinds = {row["id"]: row["kind"] for row in pq.read_table(out / "failures.parquet").to_pylist()}
    assert kinds == {"nowhere.jpg": "missing", "../secret.jpg": "leaves-root"}
    with pytest.raises(UserError, match=r"1 photos that were not planned.*`extend`"):
        build(photos, out, write_list(tmp_path / "list", [*names[:3], "nowhere.jpg"]))
    with pytest.raises(UserError, match=r"1 planned photos are gone.*'nowhere.jpg'"):
        build(photos, out, write_list(tmp_path / "list", names[:2]))
    assert build(photos, out, write_list(tmp_path / "list", [*names[:3], "nowhere.jpg"]), extend=True).made == 1


def test_duplicates_on_a_list_are_found_when_the_shards_are_merged(built: Path, photos: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in photos.iterdir())
    for copy in ("zz 1.jpg", "zz 2.jpg"):  # after the others in the plan, so the originals stay
        shutil.copy(photos / names[1], photos / copy)
    out = tmp_path / "data"
    build(photos, out, write_list(tmp_path / "list", [*names, "zz 1.jpg", "zz 2.jpg"]))
    assert {pair.id for pair in sketchprep.open_pairs(out)} == set(names)
    rows = pq.read_table(out / "failures.parquet").to_pylist()
    assert [(r["id"], r["stage"], r["kind"], r["rejected"]) for r in rows] == [
        ("zz 1.jpg", "merge", "duplicate", True),
        ("zz 2.jpg", "merge", "duplicate", True),
    ]
    assert all(repr(names[1]) in row["message"] for row in rows)
    assert verify.verify(out) == []
    found = status.status(out)
    assert (found.planned, found.pairs, found.rejected, found.failed) == (8, 6, 2, 0)
    assert build(photos, out, tmp_path / "list").made == 0


def test_a_list_with_digests_has_its_duplicates_dropped_by_the_plan(built: Path, photos: Path, tmp_path: Path) -> None:
    digests = {row["id"]: row["sha256"] for row in pq.read_table(built / "plan.parquet").to_pylist()}
    first, *names = sorted(path.name for path in photos.iterdir())
    shutil.copy(photos / first, photos / "zz.jpg")
    columns = {"path": [first, *names, "zz.jpg"], "sha256": [*(digests[n] for n in (first, *names)), digests[first]]}
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    out = tmp_path / "data"
    build(photos, out, tmp_path / "list.parquet")
    rows = pq.read_table(out / "failures.parquet").to_pylist()
    assert [(r["id"], r["stage"], r["kind"]) for r in rows] == [("zz.jpg", "plan", "duplicate")]
    (photos / names[0]).write_bytes((photos / names[1]).read_bytes())
    other = tmp_path / "other"
    build(photos, other, tmp_path / "list.parquet")
    changed = [row for row in pq.read_table(other / "failures.parquet").to_pylist() if row["kind"] == "changed"]
    assert [row["id"] for row in changed] == [names[0]], "a digest on the list is a promise about the photo"


def plan(*words: object) -> str:
    result = CliRunner().invoke(main, ["plan", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def test_plan_tells_hours_and_jobs_from_the_times_of_an_earlier_build(tmp_path: Path, built: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    write_list(tmp_path / "list", [f"{n:06d}.jpg" for n in range(36_000)])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({**QUICK, "shard_size": 100, "store": [], "split": {"method": "none"}}))
    earlier = tmp_path / "earlier"
    (earlier / "log").mkdir(parents=True)
    shutil.copy(built / "recipe.yaml", earlier)
    steps = {"decode": 1, "align": 2, "landmarks": 3, "photocopy": 16, "simplify": 4, "encode": 8, "write": 2}
    figures = {"counts": {"pair": 100}, "seconds": {k: v / 10 for k, v in steps.items()}}
    (earlier / "log" / "train-000000.json").write_text(json.dumps(figures))
    words = ("--recipe", recipe, "--root", root, "--list", tmp_path / "list", "--times", earlier)
    text = plan(*words)
    # 128 px as there; two of the four pictures that were encoded there: 1 + 2 + 3 + 16 + 4 + 8 / 2 + 2 = 32 ms
    assert "36,000 listed, 36,000 planned" in text
    assert "without networks: 0.32 hours (32 ms a photo: photocopy 16," in text
    assert "measured on 100 photos" in text
    assert "360 of up to 100 photos" in text
    assert "180 array tasks of up to 2 shards, each about 0.000889 hours with 2 processes" in text
    assert "without networks: 1.1 hours (110 ms" in plan(*words, "--set", "size=256")  # 6 + 4 × 26 ms
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(main, ["plan", *map(str, words[:-1]), str(root)])
    assert result.exit_code == 2
    assert "recipe.yaml is missing" in result.output
