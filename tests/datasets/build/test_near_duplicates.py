"""The same photo saved again is found, goes to the same split or is dropped, and nothing else moves."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps
from portraits import PORTRAITS

from sketchprep.datasets import plan, sources
from sketchprep.datasets.build import planner
from sketchprep.datasets.build.near_duplicates import MOST_BITS, first_alike
from sketchprep.datasets.build.summary import summarize_build
from sketchprep.io import perceptual
from sketchprep.sketching import recipe

VALUES = {"name": "x", "sources": ["folder"], "stages": {"canny": {}}, "sketch": "canny"}
FACES = [path.stem for path in sorted(PORTRAITS.glob("*.jpg"))]
HALF = {"test": 3, "of": 6}


def portrait(name: str) -> Path:
    return PORTRAITS / f"{name}.jpg"


def saved_again(photo: Image.Image, kind: str) -> bytes:
    """A portrait as a JPEG of another quality or size, mirrored, or turned by its EXIF data only."""
    options: dict = {"quality": 88}
    if kind == "poor":
        options["quality"] = 30
    elif kind == "small":
        photo = photo.resize((300, 300), Image.Resampling.LANCZOS)
    elif kind == "mirrored":
        photo = ImageOps.mirror(photo)
    elif kind == "large":
        photo = photo.resize((1500, 1500), Image.Resampling.BICUBIC)
    elif kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        photo, options = photo.transpose(Image.Transpose.ROTATE_90), {"quality": 92, "exif": exif}
    stream = io.BytesIO()
    photo.save(stream, "PNG" if kind == "png" else "JPEG", **options)
    return stream.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in FACES[:6]:
        Image.open(portrait(name)).resize((512, 512)).save(folder / f"{name}.png")
    return folder


def make(root: Path, before=None, **changes):
    rec = recipe.load({**VALUES, "split": HALF, **changes})
    return planner.make_plan(rec, planner.list_sources([sources.open_source("folder", root)]), before=before)


def splits(table) -> dict[str, str]:
    return {row["id"]: row["split"] for row in table.to_pylist()}


@pytest.mark.parametrize("kind", ["quality", "poor", "small", "large", "mirrored", "exif", "png"])
@pytest.mark.parametrize("name", FACES[:20:10])
def test_copies_of_a_photo_have_nearly_its_hash(name: str, kind: str) -> None:
    photo = Image.open(portrait(name)).convert("RGB").resize((512, 512))
    one, other = saved_again(photo, "png"), saved_again(photo, kind)
    hashes = [perceptual.photo_hash(one), perceptual.photo_hash(other)]
    different = hashes[0] ^ hashes[1] ^ (perceptual.MIRRORED if kind == "mirrored" else 0)
    assert different.bit_count() <= MOST_BITS
    assert perceptual.likeness(perceptual.thumbnail(one), perceptual.thumbnail(other)) > 0.98


def test_portraits_of_different_people_are_not_alike() -> None:
    photos = [path.read_bytes() for path in sorted(PORTRAITS.glob("*.jpg"))]
    hashes = np.array([perceptual.photo_hash(data) for data in photos], np.uint64)
    assert first_alike(hashes, lambda number: perceptual.thumbnail(photos[number])) == {}


@pytest.mark.parametrize("seed", range(5))
def test_copies_share_a_split_and_no_other_photo_moves(root: Path, seed: int) -> None:
    alone = make(root, seed=seed)
    first = FACES[0]
    for kind in ("quality", "mirrored", "small"):
        (root / f"zz-{kind}.jpg").write_bytes(saved_again(Image.open(root / f"{first}.png"), kind))
    table = make(root, seed=seed, split={"test": 3, "of": 9})
    assert len({splits(table)[name] for name in (f"{first}.png", "zz-quality.jpg", "zz-mirrored.jpg")}) == 1
    alike = {row["id"]: row["alike"] for row in table.to_pylist() if row["alike"]}
    assert alike == {f"zz-{kind}.jpg": f"{first}.png" for kind in ("quality", "mirrored", "small")}
    assert sum(split == "test" for split in splits(table).values()) == 3
    tests = {name for name, split in splits(alone).items() if split == "test"}
    assert tests - {f"{first}.png"} <= {name for name, split in splits(table).items() if split == "test"}


def test_without_copies_the_split_is_what_it_was(root: Path) -> None:
    plain, ignored = make(root), make(root, split={**HALF, "near_duplicates": "ignore"})
    assert splits(plain) == splits(ignored)
    assert plain["phash"].null_count == 0
    assert ignored["phash"].null_count == len(ignored)
    assert make(root, split={"method": "none"})["phash"].null_count == 6, "no split, nothing to keep apart"
    assert make(root, split={"test": 0})["phash"].null_count == 6


def test_dropped_copies_are_rejected_rows(root: Path) -> None:
    (root / "zz.jpg").write_bytes(saved_again(Image.open(root / f"{FACES[1]}.png"), "poor"))
    for split in ({**HALF, "near_duplicates": "drop"}, {"method": "none", "near_duplicates": "drop"}):
        (failure,) = plan.failures(make(root, split=split))
        assert (failure.id, failure.kind, failure.rejected) == ("zz.jpg", "near-duplicate", True)
        assert FACES[1] in failure.message


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_that_comes_later_follows_the_planned_photo(root: Path, seed: int) -> None:
    before = make(root, seed=seed)
    for name in FACES[:6]:
        (root / f"new-{name}.jpg").write_bytes(saved_again(Image.open(root / f"{name}.png"), "mirrored"))
    added = make(root, before=before, seed=seed)
    assert len(added) == 6
    assert {splits(before)[f"{name}.png"] == splits(added)[f"new-{name}.jpg"] for name in FACES[:6]} == {True}


def test_the_corpus_own_split_is_kept_and_a_leak_is_told(tmp_path: Path) -> None:
    photo = Image.open(portrait(FACES[0])).convert("RGB").resize((256, 256))
    for split, kind in (("train", "png"), ("test", "quality")):
        for side in "AB":
            path = tmp_path / "c" / f"{split}{side}" / "1.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(saved_again(photo, kind))
    opened = [sources.open_source("pairs", tmp_path / "c")]
    rec = recipe.load({"name": "x", "sources": ["pairs"], "split": {"method": "official"}})
    table = planner.make_plan(rec, planner.list_sources(opened))
    assert splits(table) == {"1.png": "train", "testA/1.png": "test"}
    pq.write_table(table, tmp_path / "plan.parquet")
    (note,) = summarize_build(rec, opened, tmp_path / "plan.parquet", []).notes
    assert note == "1 near-duplicates repeat a photo of another split ('testA/1.png like 1.png')"


def test_the_key_is_in_no_recipe_that_does_not_change_it() -> None:
    assert "near_duplicates" not in recipe.load(VALUES).canonical()["split"]
    dropping = recipe.load(VALUES, ["split.near_duplicates=drop"]).canonical()
    assert dropping["split"]["near_duplicates"] == "drop"
    assert recipe.load(dropping).canonical() == dropping


def test_thousands_of_equal_hashes_are_compared_with_the_first_only() -> None:
    opened = []

    def thumbnail(number: int) -> np.ndarray:
        opened.append(number)
        return np.zeros((32, 32), np.float32)

    assert first_alike(np.zeros(3000, np.uint64), thumbnail) == {}, "pictures of one colour are not alike"
    assert len(opened) == 3000
