"""Faces of a built dataset: right pictures, right order, whatever the batches and processes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sketchprep.datasets.export.export import export
from sketchprep.datasets.reader import open_pairs
from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.training.paired_data import Augment, PairedFaces, held_out

VARIED = Augment(flip=0.5, jitter=4, dropout=0.2, thickness=2, erase_part=0.3)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "copy")


def change_recipe(folder: Path, change: Callable[[dict], None]) -> None:
    values = yaml.safe_load((folder / "recipe.yaml").read_text())
    change(values["recipe"])
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values))


def change_index(folder: Path, change: Callable[[list[dict]], list[dict]]) -> None:
    table = pq.read_table(folder / "index.parquet")
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema), folder / "index.parquet")


def replace(folder: Path, id: str, name: str, data: bytes) -> None:
    """Let a pair's member hold something else, as a damaged disk would."""

    def change(rows: list[dict]) -> list[dict]:
        for row in rows:
            if row["id"] == id:
                tar = folder / "shards" / f"{row['shard']}.tar"
                member = next(m for m in row["members"] if m["name"] == name)
                member["offset"], member["size"] = tar.stat().st_size, len(data)
                with tar.open("ab") as file:
                    file.write(data)
        return rows

    change_index(folder, change)


def test_pictures_are_those_of_the_dataset(built: Path) -> None:
    faces = PairedFaces(built, size=128, split="all")
    pairs = open_pairs(built)
    made = faces.fixed(100)
    assert (len(faces), faces.ids) == (len(pairs), [pair.id for pair in pairs])
    assert {name: (v.shape, v.dtype) for name, v in made.items()} == {
        "sketch": ((6, 1, 128, 128), np.uint8),
        "photo": ((6, 3, 128, 128), np.uint8),
    }
    for number, pair in enumerate(pairs):
        np.testing.assert_array_equal(made["sketch"][number, 0], pair.sketch)
        np.testing.assert_array_equal(made["photo"][number].transpose(1, 2, 0), pair.photo)
    assert np.median(made["sketch"]) == 255


def test_smaller_pictures_are_means_over_areas(built: Path) -> None:
    large, small = (PairedFaces(built, size=size, split="all").fixed(6) for size in (128, 64))
    for name in ("sketch", "photo"):
        planes = large[name].astype(float)
        means = planes.reshape(6, planes.shape[1], 64, 2, 64, 2).mean(axis=(3, 5))
        assert np.abs(small[name] - means).max() <= 1


def test_each_epoch_has_every_pair_once_in_another_order(built: Path) -> None:
    faces = PairedFaces(built, size=64, split="all")
    known = {picture.tobytes(): n for n, picture in enumerate(faces.fixed(6)["photo"])}
    epochs = [[known[p.tobytes()] for p in faces.batch(range(6 * e, 6 * e + 6))["photo"]] for e in range(6)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3


def test_a_visit_is_the_same_in_any_batch_and_process(built: Path) -> None:
    faces = PairedFaces(built, size=64, split="all", augment=VARIED, seed=3)
    whole = faces.batch(range(4, 14))
    single = [faces.batch([visit]) for visit in reversed(range(4, 14))][::-1]
    same(whole, {name: np.concatenate([part[name] for part in single]) for name in whole})
    same(whole, pickle.loads(pickle.dumps(faces)).batch(range(4, 14)))
    other = PairedFaces(built, size=64, split="all", augment=VARIED, seed=4).batch(range(4, 14))
    assert (other["sketch"] != whole["sketch"]).any()


def test_a_loader_with_a_worker_gives_the_same_and_opens_the_dataset_once(built: Path) -> None:
    from sketchprep.training.data_loader import BatchLoader

    faces = PairedFaces(built, size=64, split="all", augment=VARIED)
    sent = pickle.dumps(faces.batch)
    assert len(sent) < 1000
    assert pickle.loads(sent).__self__ is pickle.loads(sent).__self__
    with BatchLoader(faces.batch, 4, batch=4, workers=1) as loader:
        for start in (4, 8, 12):
            (made,) = loader.step()
            same({name: tensor.numpy() for name, tensor in made.items()}, faces.batch(range(start, start + 4)))


def test_variations_differ_from_epoch_to_epoch_and_leave_photos_alone(built: Path) -> None:
    plain, varied = (
        PairedFaces(built, size=64, split="all", augment=a) for a in (Augment(), Augment(jitter=6, dropout=0.3))
    )
    for visits in (range(6), range(6, 12)):
        np.testing.assert_array_equal(plain.batch(visits)["photo"], varied.batch(visits)["photo"])
    visits = [range(12, 18).index(v) for v in range(12, 18)]
    first, second = (varied.batch([v + 6 * e for v in visits]) for e in (0, 1))
    by_photo = {photo.tobytes(): sketch for photo, sketch in zip(first["photo"], first["sketch"], strict=True)}
    for photo, sketch in zip(second["photo"], second["sketch"], strict=True):
        assert (by_photo[photo.tobytes()] != sketch).any()


def test_sketch_and_photo_are_mirrored_together(built: Path) -> None:
    plain, mirrored = (PairedFaces(built, size=128, split="all", augment=a) for a in (Augment(), Augment(flip=0.5)))
    before, after = plain.batch(range(24)), mirrored.batch(range(24))
    assert "flip" not in before
    assert after["flip"].dtype == bool
    assert 4 < after["flip"].sum() < 20
    for name in ("sketch", "photo"):
        expected = np.where(after["flip"][:, None, None, None], before[name][..., ::-1], before[name])
        np.testing.assert_array_equal(after[name], expected)
    fixed = mirrored.fixed(3)
    assert not fixed["flip"].any()
    np.testing.assert_array_equal(fixed["photo"], plain.fixed(3)["photo"])


def test_another_stage_and_no_photos(built: Path) -> None:
    made = PairedFaces(built, size=128, split="all", sketch="canny", photos=False).fixed(2)
    assert list(made) == ["sketch"]
    np.testing.assert_array_equal(made["sketch"][1, 0], open_pairs(built)[1]["canny"])
    named, final = (PairedFaces(built, size=128, split="all", sketch=s) for s in ("simplify", "sketch"))
    same(named.fixed(2), final.fixed(2))


def test_splits_and_limit(built: Path) -> None:
    for split in ("train", "test"):
        assert PairedFaces(built, size=64, split=split).ids == [pair.id for pair in open_pairs(built, split)]
    assert PairedFaces(built, size=64, limit=2).ids == [pair.id for pair in open_pairs(built, "train")][:2]
    one = PairedFaces(built, size=64, limit=1)
    same(one.batch([0, 1, 2]), {name: np.repeat(v, 3, axis=0) for name, v in one.fixed(1).items()})


def test_described_by_what_decides_the_pictures(built: Path, copied: Path) -> None:
    def described(data: Path = built, **options: object) -> dict:
        return json.loads(json.dumps(PairedFaces(data, **{"size": 64, **options}).describe()))

    plain = described()
    assert plain["recipe"] == yaml.safe_load((built / "recipe.yaml").read_text())["hash"]
    assert plain["pairs"] == len(open_pairs(built, "train"))
    assert described(copied) == plain
    for changed in ({"size": 128}, {"split": "all"}, {"sketch": "canny"}, {"limit": 2}, {"augment": Augment(flip=0.1)}):
        assert described(**changed) != plain
    change_index(copied, lambda rows: [*rows[1:], rows[0]])
    assert described(copied, split="all")["content"] != described(split="all")["content"]


def test_held_out_pairs_come_from_the_test_split_or_say_that_they_do_not(built: Path, copied: Path) -> None:
    assert held_out(built, size=64).ids == [pair.id for pair in open_pairs(built, "test")]
    change_index(copied, lambda rows: [{**row, "split": "train"} for row in rows])
    faces = held_out(copied, size=64, limit=4)
    assert (faces.split, len(faces), len(held_out(copied, size=64))) == ("train", 4, 6)


def test_a_smaller_pack_of_the_dataset_gives_the_same_faces(built: Path, tmp_path: Path) -> None:
    export(built, "shards", tmp_path / "pack", split="train", size=64, limit=3)
    pack = PairedFaces(tmp_path / "pack", size=64)
    whole = PairedFaces(built, size=64, limit=3)
    assert pack.ids == whole.ids
    np.testing.assert_array_equal(pack.fixed(3)["sketch"], whole.fixed(3)["sketch"])
    # The pack's photos went through JPEG once more.
    assert np.abs(pack.fixed(3)["photo"].astype(float) - whole.fixed(3)["photo"]).mean() < 3
    erased = [PairedFaces(d, size=64, augment=Augment(erase_part=1), limit=3) for d in (tmp_path / "pack", built)]
    np.testing.assert_array_equal(*(faces.batch(range(9))["sketch"] for faces in erased))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 100}, r"size=100: must be a multiple of 64"),
        ({"size": 0}, r"size=0: must be a multiple of 64"),
        ({"size": 256}, r"have 128 px, fewer than size=256; build with size=256, or"),
        ({"size": 64, "split": "val"}, r"split=val: .* no such split; name one of test, train, all"),
        ({"size": 64, "sketch": "hed"}, r"sketch=hed: .*only sketch \(simplify\), photocopy, canny; name"),
        ({"size": 64, "limit": 0}, r"limit=0: must be at least 1"),
    ],
)
def test_wrong_options_are_refused_in_one_sentence(options: dict, sentence: str, built: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        PairedFaces(built, **options)


def test_a_size_that_no_whole_factor_reaches_is_refused(copied: Path) -> None:
    change_recipe(copied, lambda recipe: recipe.update(size=192))
    with pytest.raises(UserError, match=r"of 192 px .* size=128 .*; take one of 64, 192, or build with size=128"):
        PairedFaces(copied, size=128)


def test_another_frame_is_refused(copied: Path) -> None:
    change_recipe(copied, lambda recipe: recipe.update(align={"template": "apdrawing"}))
    with pytest.raises(UserError, match=r"frame 'apdrawing'.*build with align\.template=ffhq"):
        PairedFaces(copied, size=64)


def test_no_dataset_an_unfinished_one_and_an_empty_one_are_refused(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no dataset .*sketchprep build"):
        PairedFaces(tmp_path / "nowhere", size=64)
    change_index(copied, lambda rows: [])
    with pytest.raises(UserError, match=r"holds no pairs; see failures\.parquet"):
        PairedFaces(copied, size=64)
    (copied / "index.parquet").unlink()
    with pytest.raises(UserError, match=r"not finished; run the same `sketchprep build`"):
        PairedFaces(copied, size=64)


def test_a_pair_without_its_sketch_is_named(copied: Path) -> None:
    def change(rows: list[dict]) -> list[dict]:
        rows[2]["members"] = [m for m in rows[2]["members"] if m["name"] != "sketch.png"]
        return rows

    change_index(copied, change)
    with pytest.raises(UserError, match=repr(open_pairs(copied)[2].id)):
        PairedFaces(copied, size=64, split="all")


@pytest.mark.parametrize("damage", ["cut", "noise", "shape"])
@pytest.mark.parametrize("name", ["sketch.png", "photo.jpg"])
def test_a_damaged_picture_names_its_pair_and_verify(damage: str, name: str, copied: Path) -> None:
    faces = PairedFaces(copied, size=64, split="all")
    pair = open_pairs(copied)[4]
    data = pair.files[name]
    wide = np.full((64, 128, 3) if name == "photo.jpg" else (64, 128), 255, np.uint8)
    bad = {"cut": data[: len(data) // 2], "noise": os.urandom(400), "shape": images.encode_png(wide)}[damage]
    replace(copied, pair.id, name, bad)
    broken = PairedFaces(copied, size=64, split="all")
    same(broken.fixed(4), faces.fixed(4))
    with pytest.raises(UserError, match=f"{pair.id!r}.*sketchprep verify"):
        broken.batch(range(6))


def test_training_data_needs_neither_torch_nor_dlib(built: Path) -> None:
    code = (
        "import sys; from sketchprep.training.paired_data import PairedFaces; "
        "PairedFaces(sys.argv[1], size=64).batch([0]); "
        "print([m for m in ('torch', 'dlib', '_dlib_pybind11') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(built)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
