"""Layouts of other projects, checked by what their loaders would read."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sketchprep.datasets import export as exporters
from sketchprep.datasets.export.export import LAYOUTS, export
from sketchprep.datasets.reader import open_pairs
from sketchprep.datasets.verify import verify
from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.io.shards import key
from sketchprep.ops.face_parts import windows
from sketchprep.ops.resize import resize

Make = Callable[..., Path]


def tree(folder: Path) -> dict[str, bytes]:
    """All files but the lock and the marker."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "export.json"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


def options(command: str) -> dict[str, str | bool]:
    """What a peer's argument parser would see."""
    words, found = shlex.split(command), {}
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            found[name] = value if equals else True if following.startswith("--") else following
    return found


def ids(out: Path) -> dict[str, str]:
    with (out / "ids.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: row["id"] for row in csv.DictReader(file)}


def test_pix2pix_has_the_sketch_left_and_the_photo_right(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(), tmp_path / "o u't"
    report = export(data, "pix2pix", out)
    assert (report.written, report.skipped, report.failed) == (8, 0, 0)
    assert {p.name for p in out.iterdir() if p.is_dir()} == {"train", "test"}
    assert len(list((out / "train").iterdir())) == 5
    for pair in open_pairs(data):
        both = images.decode((out / pair.split / f"{key(pair.ordinal)}.png").read_bytes())
        assert both.shape == (128, 256, 3)
        for channel in range(3):
            np.testing.assert_array_equal(both[:, :128, channel], pair.sketch)
        np.testing.assert_array_equal(both[:, 128:], pair.photo)
    assert ids(out) == {key(pair.ordinal): pair.id for pair in open_pairs(data)}
    given = options(report.command)
    assert report.command.startswith("python train.py ")
    expected = {"--model": "pix2pix", "--dataset_mode": "aligned", "--direction": "AtoB", "--netG": "unet_128"}
    assert expected.items() <= given.items()
    assert given["--dataroot"] == str(out)
    assert (given["--load_size"], given["--crop_size"]) == ("143", "128")


def test_pix2pixhd_pairs_by_order_and_copies_the_stored_bytes(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(), tmp_path / "out"
    report = export(data, "pix2pixhd", out)
    for split in ("train", "test"):
        a, b = (sorted((out / f"{split}_{side}").iterdir()) for side in "AB")
        pairs = list(open_pairs(data, split))
        assert [p.stem for p in a] == [p.stem for p in b] == [key(pair.ordinal) for pair in pairs]
        for path_a, path_b, pair in zip(a, b, pairs, strict=True):
            assert path_a.read_bytes() == pair.files["sketch.png"]
            assert path_b.read_bytes() == pair.files["photo.jpg"]
    given = options(report.command)
    assert given["--label_nc"] == "0"
    assert given["--no_instance"] is True
    assert (given["--resize_or_crop"], given["--loadSize"]) == ("none", "128")


@pytest.mark.parametrize("to", ["pix2pix", "pix2pixhd", "imagefolder"])
def test_a_smaller_size_resizes(drawn: Make, tmp_path: Path, to: str) -> None:
    data, out = drawn(), tmp_path / "out"
    export(data, to, out, size=64, split="test", limit=2)
    pictures = [images.decode(data) for name, data in tree(out).items() if name.endswith(("png", "jpg"))]
    assert len(pictures) == (2 if to == "pix2pix" else 4)
    assert {p.shape[0] for p in pictures} == {64}
    expected = resize(open_pairs(data, "test")[0].sketch, (64, 64))
    assert any((p[:, :64, 0] == expected).all() for p in pictures)


def test_imagefolder_opens_in_datasets(drawn: Make, tmp_path: Path, hub: Callable[..., dict]) -> None:
    data, out = drawn(), tmp_path / "out"
    export(data, "imagefolder", out)
    found = hub('load_dataset("imagefolder", data_dir=sys.argv[1])', out)
    assert found["columns"] == ["image", "sketch", "id", "attributes", "yaw", "pitch", "roll"]
    assert found["rows"] == {"train": 5, "test": 3}
    pair = open_pairs(data, "test")[1]
    row = found["samples"]["test"][1]
    assert row["id"] == pair.id
    assert (row["attributes"], row["roll"]) == (pair.row["attributes"], pair.ordinal)
    assert row["image"] == ["RGB", [128, 128], int(pair.photo.astype(int).sum())]
    assert row["sketch"] == ["L", [128, 128], int(pair.sketch.astype(int).sum())]


def test_imagefolder_without_attributes_and_pose_opens_too(
    drawn: Make, tmp_path: Path, hub: Callable[..., dict]
) -> None:
    # One pair a split: the test split then has a pair with attributes, the training split has none.
    data = drawn(train=1, test=1, pose=False)
    export(data, "imagefolder", tmp_path / "out")
    assert hub('load_dataset("imagefolder", data_dir=sys.argv[1])', tmp_path / "out")["columns"] == [
        "image",
        "sketch",
        "id",
    ]


def test_controlnet_has_the_columns_of_its_training_script(
    drawn: Make, tmp_path: Path, hub: Callable[..., dict]
) -> None:
    data, out = drawn(damaged=(4,)), tmp_path / "out"
    report = export(data, "controlnet", out, size=64)
    found = hub("load_dataset(sys.argv[1])", out)
    assert {"image", "conditioning_image", "text"} <= set(found["columns"])
    row, pair = found["samples"]["train"][0], open_pairs(data, "train")[0]
    assert row["image"][:2] == ["RGB", [64, 64]]
    assert row["conditioning_image"] == ["L", [64, 64], int(resize(pair.sketch, (64, 64)).astype(int).sum())]
    assert row["text"]
    assert found["rows"] == {"train": 4, "test": 3}
    given = options(report.command)
    assert given["--train_data_dir"] == str(out)
    assert given["--resolution"] == "64"
    assert Path(str(given["--validation_image"])).parent == out / "test" / "conditioning_image"
    assert Path(str(given["--validation_image"])).is_file()
    assert any("caption" in note for note in report.notes)


def test_apdrawing_layout(drawn: Make, tmp_path: Path, draw: type) -> None:
    data = drawn(size=512, template="apdrawing", labelled=(0, 2), no_landmarks=(1,), train=2, test=1)
    out = tmp_path / "out"
    report = export(data, "apdrawing", out)
    assert (report.written, report.failed) == (2, 1)
    assert pq.read_table(out / "failures.parquet").to_pylist()[0]["kind"] == "no-landmarks"
    assert set(tree(out)) == {
        "data/train/000000000.png",
        "data/test/000000002.png",
        "landmark/ALL/000000000.txt",
        "landmark/ALL/000000002.txt",
        "mask/ALL/000000000.png",
        "mask/ALL/000000002.png",
        "ids.csv",
        "failures.parquet",
    }
    pair = open_pairs(data)[0]
    both = images.decode((out / "data/train/000000000.png").read_bytes())
    np.testing.assert_array_equal(both[:, :512], pair.photo)
    np.testing.assert_array_equal(both[:, 512:, 1], pair.sketch)
    assert (out / "landmark/ALL/000000000.txt").read_text() == "193 247\n319 247\n256 320\n210 378\n302 378\n"
    mask = images.decode_gray((out / "mask/ALL/000000000.png").read_bytes())
    np.testing.assert_array_equal(mask, np.where(draw.labels() > 0, 255, 0))


def test_apdrawing_command_uses_the_parts_only_if_every_mask_is_known(drawn: Make, tmp_path: Path) -> None:
    whole = export(
        drawn("a", size=512, template="apdrawing", labelled=(0, 1), train=1, test=1), "apdrawing", tmp_path / "out-a"
    )
    given = options(whole.command)
    assert given["--use_local"] is given["--discriminator_local"] is True
    assert given["--dataroot"] == str(tmp_path / "out-a" / "data")
    assert (given["--lm_dir"], given["--bg_dir"]) == (
        str(tmp_path / "out-a/landmark/ALL"),
        str(tmp_path / "out-a/mask/ALL"),
    )
    some = export(
        drawn("b", size=512, template="apdrawing", labelled=(0,), train=1, test=1), "apdrawing", tmp_path / "out-b"
    )
    assert "--use_local" not in some.command
    assert "1 of 2 pairs" in some.notes[0]


def test_apdrawing_refuses_another_frame_and_another_size(drawn: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"frame 'ffhq'.*apdrawing-pretrain"):
        export(drawn(size=512, train=1, test=0), "apdrawing", tmp_path / "out")
    with pytest.raises(UserError, match=r"512 px, not 256"):
        export(drawn("b", size=256, template="apdrawing", train=1, test=0), "apdrawing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shards_are_a_dataset_again(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(labelled=(0, 2, 6)), tmp_path / "out"
    report = export(data, "shards", out, size=64, limit=3)
    assert (report.written, report.failed) == (6, 0)
    small, large = open_pairs(out), open_pairs(data)
    assert (len(small), small.size) == (6, 64)
    originals = {pair.id: pair for pair in large}
    for pair in small:
        original = originals[pair.id]
        assert pair.ordinal == original.ordinal
        assert pair.split == original.split
        assert pair.photo.shape == (64, 64, 3)
        np.testing.assert_array_equal(pair.sketch, resize(original.sketch, (64, 64)))
        np.testing.assert_allclose(pair.landmarks, (original.landmarks + 0.5) / 2 - 0.5, atol=0.01)
        assert [tuple(w.values()) for w in pair.row["windows"]] == [(p, *w) for p, w in windows(64).items()]
        # A point of the photo lands where the shrunk frame shows it.
        matrix, before = (np.reshape(p.row["matrix"], (2, 3)) for p in (pair, original))
        there = before @ (100, 40, 1)
        np.testing.assert_allclose(matrix @ (100, 40, 1), (there + 0.5) / 2 - 0.5)
        described = json.loads(pair.files["json"])
        assert described["id"] == pair.id
        np.testing.assert_allclose(described["landmarks"], pair.row["landmarks"], atol=0.01)
        assert ("labels.png" in pair.files) == (pair.ordinal in (0, 2, 6))
        if "labels.png" in pair.files:
            assert set(np.unique(pair["labels"])) <= set(np.unique(original["labels"]))
    assert verify(out) == []
    assert (out / "README.md").is_file()
    assert (out / "preview.jpg").is_file()


def test_shards_of_the_same_size_carry_the_same_bytes(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(), tmp_path / "out"
    export(data, "shards", out, split="test")
    for pair, original in zip(open_pairs(out), open_pairs(data, "test"), strict=True):
        assert pair.files == original.files
        assert pair.row["landmarks"] == original.row["landmarks"]


@pytest.mark.parametrize("to", [name for name in LAYOUTS if name != "apdrawing"])
def test_damaged_pairs_are_rows_and_the_rest_is_written(drawn: Make, tmp_path: Path, to: str) -> None:
    data, out = drawn(damaged=(1,)), tmp_path / "out"
    report = export(data, to, out, size=64)
    assert (report.written, report.failed) == (7, 1)
    assert pq.read_table(out / "failures.parquet").to_pylist()[0]["kind"] == "truncated"
    if to in ("imagefolder", "controlnet"):
        assert len((out / "train" / "metadata.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("to", "values", "words"),
    [
        ("pix2pix3d", {}, r"to='pix2pix3d'.*pix2pixhd"),
        ("pix2pix", {"size": 256}, r"size=256.*128"),
        ("pix2pix", {"limit": 0}, r"limit=0"),
        ("pix2pix", {"split": "dev"}, r"no split 'dev'"),
    ],
)
def test_mistakes_are_named(drawn: Make, tmp_path: Path, to: str, values: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        export(drawn(), to, tmp_path / "out", **values)


def test_a_split_that_would_lead_out_of_the_folder_is_refused(drawn: Make, tmp_path: Path) -> None:
    data = drawn(train=1, test=0)
    table = pq.read_table(data / "index.parquet")
    column = table.schema.get_field_index("split")
    pq.write_table(table.set_column(column, "split", [["../../escaped"]]), data / "index.parquet")
    for to in ("pix2pix", "imagefolder", "shards"):
        with pytest.raises(UserError, match="unknown split"):
            export(data, to, tmp_path / f"out-{to}")
    assert not list(tmp_path.parent.rglob("escaped*"))


def test_commands_name_the_folder_absolutely(drawn: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn()
    monkeypatch.chdir(tmp_path)
    assert options(export("data", "pix2pixhd", "out").command)["--dataroot"] == str(tmp_path / "out")


def test_every_layout_has_its_exporter() -> None:
    assert [exporters.exporter(name).name for name in LAYOUTS] == list(LAYOUTS)
