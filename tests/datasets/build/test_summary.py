"""What a build says at its end, and what it does not take for a photo."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from quick import QUICK
from small_builds import build

import sketchprep
from sketchprep.cli.main import main
from sketchprep.core.resources import resource
from sketchprep.datasets.sources import open_source
from sketchprep.errors import UserError

FAST = {**QUICK, "stages": {"canny": {}}, "sketch": "canny", "store": [], "split": {"method": "none"}}


def run(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def block(output: str) -> dict[str, tuple[int, str]]:
    """Reason to count and names, from the block at the end of an output."""
    lines = output.rpartition("left out\n")[2].splitlines()
    fields = [line.strip().split(maxsplit=2) for line in lines if line.split()[0] != "no"]
    return {reason: (int(count), names) for reason, count, names in fields}


@pytest.fixture
def mixed(photos: Path) -> Path:
    """Six portraits, one again, one cut, one that leaves by a link, one without a face, and a text."""
    first = sorted(photos.iterdir())[0]
    shutil.copy(first, photos / "zz-again.jpg")
    (photos / "cut.jpg").write_bytes(first.read_bytes()[:3000])
    (photos / "leaving.jpg").symlink_to("../elsewhere.jpg")
    Image.new("RGB", (300, 300), (90, 160, 90)).save(photos / "grass.png")
    (photos / "notes.txt").write_text("x")
    return photos


def test_build_plan_and_sources_end_with_what_was_left_out(mixed: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "fast.yaml"
    recipe.write_text(str(FAST))
    words = ("--recipe", recipe, "--root", mixed, "-o", tmp_path / "out")
    built = block(run("build", *words, "-j1", "--set", "size=64"))
    assert {reason: count for reason, (count, _) in built.items()} == {
        "duplicate": 1,
        "leaves-root": 1,
        "truncated": 1,
        "no-face": 1,
        ".txt": 1,
    }
    assert built["truncated"][1].startswith("'cut.jpg': ")
    assert built["duplicate"][1].startswith("'zz-again.jpg': the same bytes as")
    assert block(run("build", *words, "-j1", "--set", "size=64")) == built, "also when everything was there already"
    known = {reason: built[reason] for reason in ("leaves-root", ".txt")}
    assert block(run("plan", *words)) == known
    assert block(run("sources", "folder", "--root", mixed)) == known


def test_what_sketchprep_wrote_is_no_input(photos: Path) -> None:
    """The result lies in the root, and sketches and a sheet of earlier commands beside the photos."""
    first = sorted(photos.iterdir())[0]
    run("sketch", first, "--stage", "canny", "-o", photos)
    run("simplify", photos / f"{first.stem}.png", "-o", photos / "clean")
    result = build(photos, photos / "out", FAST)
    run("preview", photos / "out", "-o", photos / "sheet.jpg")
    assert build(photos, photos / "out", FAST).made == 0, "a sheet is no new photo"
    again = build(photos, photos / "out", FAST, extend=True)
    (photos / "sheet.jpg").unlink()
    build(photos, photos / "out", FAST)
    assert len(sketchprep.open_pairs(photos / "out")) == 6
    for summary in (result.summary, again.summary):
        assert summary.left_out.reasons["folder that sketchprep wrote"].names == ["out"]
    assert again.summary.left_out.reasons["own-picture"].names == [
        f"clean/{first.stem}.png",
        f"{first.stem}.png",
        "sheet.jpg",
    ]


def test_rules_whose_table_matches_no_photo_are_refused(photos: Path, tmp_path: Path) -> None:
    first = sorted(photos.iterdir())[0]
    (photos / "t.csv").write_text(f"id,Male\n{first.stem},1\nother.jpg,0\n")
    rec = {**FAST, "sources": [{"name": "folder", "options": {"attributes": "t.csv"}}]}
    with pytest.raises(
        UserError, match=rf"none of the 2 rows.*rows: '{first.stem}'.*photos: '{first.name}'.*extension"
    ):
        build(photos, tmp_path / "out", {**rec, "select": {"require_attributes": ["Male"]}})
    (photos / "t.csv").write_text(f"id,Male\n{first.name},1\nother.jpg,0\n")
    result = build(photos, tmp_path / "out2", {**rec, "select": {"require_attributes": ["Male"]}})
    assert result.summary.left_out.reasons["attribute rows without a photo"].names == ["other.jpg"]
    assert result.summary.notes == ("5 photos have no attributes: those rules do not apply to them",)


def test_small_sets_are_told_how_to_keep_a_test_photo(photos: Path, tmp_path: Path) -> None:
    result = build(photos, tmp_path / "out", {**FAST, "split": {"method": "share"}})
    (note,) = result.summary.notes
    assert note.endswith("--set split.test=1 --set split.of=6")
    with pytest.raises(UserError, match=r"no split 'test', only train; .*keeps one photo in ten"):
        sketchprep.open_pairs(tmp_path / "out", "test")
    build(photos, tmp_path / "new", FAST, overrides=["split.method=share", "split.test=1", "split.of=6"])
    assert len(sketchprep.open_pairs(tmp_path / "new", "test")) == 1


def test_followed_links_are_kept_in_the_recipe(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links/a.jpg").symlink_to(sorted(photos.iterdir())[0])
    with pytest.raises(UserError, match=r"no photo was found.*leaves-root"):
        build(tmp_path / "links", tmp_path / "out", FAST)
    result = build(tmp_path / "links", tmp_path / "out [2]", FAST, follow_links=True)
    assert [pair.id for pair in sketchprep.open_pairs(tmp_path / "out [2]")] == ["a.jpg"]
    assert "follow_links: true" in (tmp_path / "out [2]/recipe.yaml").read_text()
    assert "takes [, ], * and ? in a folder's name for a pattern" in result.summary.text()


@pytest.mark.parametrize(("side", "pairs"), [(122, 1), (121, 0)])
def test_a_photo_that_is_a_little_too_small_is_taken(photos: Path, tmp_path: Path, side: int, pairs: int) -> None:
    """122 px for a frame of 128: enlarged 1.049 times; 121 px: 1.058 times."""
    (tmp_path / "small").mkdir()
    Image.open(sorted(photos.iterdir())[0]).resize((side, side)).save(tmp_path / "small/a.png")
    rec = {**FAST, "align": {"template": "none"}, "select": {"one_face": False}}
    build(tmp_path / "small", tmp_path / "out", rec)
    assert len(sketchprep.open_pairs(tmp_path / "out")) == pairs


def test_files_that_belong_to_the_photos_are_not_left_out(photos: Path, tmp_path: Path) -> None:
    (photos / "table.csv").write_text(
        "id,Male\n" + "".join(f"{path.name},1\n" for path in sorted(photos.glob("*.jpg")))
    )
    (photos / "other.csv").write_text("x")
    options = {"name": "folder", "options": {"attributes": "table.csv"}}
    result = sketchprep.build(
        recipe={**FAST, "sources": [options]}, root=photos, out=tmp_path / "out", jobs=1, quiet=True
    )
    assert result.summary.left_out.reasons[".csv"].names == ["other.csv"]
    assert result.summary.left_out.reasons[".csv"].count == 1
    portraits = open_source("portraits", resource("data/portraits"))
    assert portraits.left_out().text() == ""
