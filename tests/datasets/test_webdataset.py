"""The shards themselves, opened by webdataset and by Hugging Face datasets, unchanged and offline."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from sketchprep.datasets.card import webdataset_header
from sketchprep.datasets.reader import open_pairs

Make = Callable[..., Path]


def test_webdataset_reads_every_pair_in_order(drawn: Make, tmp_path: Path) -> None:
    data = drawn()
    code = """
import json, sys, glob
import webdataset
shards = sorted(glob.glob(sys.argv[1] + "/shards/train-*.tar"))
for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"):
    print(json.dumps([sample["__key__"], sorted(k for k in sample if k[0] != "_"), sample["json"]["id"],
        int(sample["photo.jpg"].astype(int).sum()), list(sample["sketch.png"].shape), int(sample["sketch.png"].sum())]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(data)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    pairs = list(open_pairs(data, "train"))
    assert len(found) == len(pairs) == 5
    for (name, members, id_, photo, shape, sketch), pair in zip(found, pairs, strict=True):
        assert name == f"{pair.ordinal:09d}"
        assert members == ["json", "photo.jpg", "sketch.png"]
        assert id_ == pair.id
        assert photo == pair.photo.astype(int).sum()
        assert shape == [128, 128, 3]
        assert sketch == 3 * pair.sketch.astype(int).sum()


def test_datasets_reads_the_tars_by_name(drawn: Make, hub: Callable[..., dict]) -> None:
    data = drawn()
    call = 'load_dataset("webdataset", data_files={"train": sys.argv[1] + "/shards/train-*.tar"})'
    found = hub(call, data)
    assert found["rows"] == {"train": 5}
    assert {"photo.jpg", "sketch.png", "json", "__key__"} <= set(found["columns"])
    pair, row = open_pairs(data, "train")[2], found["samples"]["train"][2]
    assert row["photo.jpg"] == ["RGB", [128, 128], int(pair.photo.astype(int).sum())]
    assert row["sketch.png"] == ["L", [128, 128], int(pair.sketch.astype(int).sum())]
    assert row["json"]["id"] == pair.id


def write_card(data: Path, members: list[str]) -> None:
    text = yaml.safe_dump(webdataset_header(["train", "test"], members), sort_keys=False)
    (data / "README.md").write_text(f"---\n{text}---\n")


def test_datasets_reads_the_folder_through_the_header_of_its_card(drawn: Make, hub: Callable[..., dict]) -> None:
    data = drawn()
    write_card(data, ["photo.jpg", "sketch.png"])
    found = hub("load_dataset(sys.argv[1])", data)
    assert found["rows"] == {"train": 5, "test": 3}
    pair, row = open_pairs(data, "test")[2], found["samples"]["test"][2]
    assert row["photo.jpg"] == ["RGB", [128, 128], int(pair.photo.astype(int).sum())]
    stored = json.loads(pair.files["json"])
    assert {name: row["json"][name] for name in stored} == stored


def test_datasets_reads_pairs_of_which_only_some_have_labels_and_landmarks(
    drawn: Make, hub: Callable[..., dict]
) -> None:
    data = drawn(labelled=(1, 7), no_landmarks=(0, 1, 2, 3, 4, 5), pose=False)
    write_card(data, ["photo.jpg", "sketch.png", "labels.png"])
    found = hub("load_dataset(sys.argv[1])", data)
    assert found["rows"] == {"train": 5, "test": 3}
    train, test = found["samples"]["train"], found["samples"]["test"]
    assert [row["labels.png"] is None for row in (*train, *test)] == [True, False, True, True, True, False]
    assert [row["json"]["landmarks"] is None for row in (*train, *test)] == [True, True, True, True, False, False]
