"""The folder source, its table of attributes, and the bundled portraits."""

import hashlib

import numpy as np
import pytest

from sketchprep.core.resources import resource
from sketchprep.datasets.sources import open_source
from sketchprep.datasets.sources.describe import describe
from sketchprep.errors import SampleError, UserError
from sketchprep.sketching.selection import check_annotations


def test_ids_are_paths_and_pictures_come_back_as_they_were_drawn(plant):
    root = plant({"b/a.png": 3, "a.png": 4, "a.jpg": 5})
    source = open_source("folder", root)
    assert [sample.id for sample in source.samples()] == ["a.jpg", "a.png", "b/a.png"]
    assert {sample.attributes for sample in source.samples()} == {None}
    sample = source.samples()[2]
    digest, picture = source.load(sample)
    x = np.arange(24)[None]
    assert (picture.photo[..., 0] == (x * 7 + 93) % 256).all()
    assert digest == source.digest(sample) == hashlib.sha256((root / "b/a.png").read_bytes()).hexdigest()


def test_refusals_become_failures_of_the_listing(plant, tmp_path):
    root = plant({"a.jpg": 1})
    (root / "out.jpg").symlink_to(tmp_path / "x.jpg")
    (failure,) = open_source("folder", root).refused()
    assert (failure.id, failure.source, failure.stage, failure.kind) == ("out.jpg", "folder", "list", "leaves-root")
    assert not failure.rejected


def test_files_that_are_no_pictures_are_listed_and_fail_when_opened(plant):
    source = open_source("folder", plant({"empty.jpg": b"", "text.png": "hello"}))
    kinds = {}
    for sample in source.samples():
        with pytest.raises(SampleError) as caught:
            source.load(sample)
        kinds[sample.id] = caught.value.kind
    assert kinds == {"empty.jpg": "empty", "text.png": "not-a-picture"}


def test_a_table_of_attributes(plant):
    table = 'id,Wearing_Hat,Eyeglasses\na.jpg,1,1\n"b, c.jpg",0,0\r\n\ngone.jpg,1,0\n'
    root = plant({"a.jpg": 1, "b, c.jpg": 2, "d.jpg": 3, "t.csv": "\ufeff" + table})
    source = open_source("folder", root, attributes="t.csv")
    found = {sample.id: sample.attributes for sample in source.samples()}
    assert found == {"a.jpg": ("Eyeglasses", "Wearing_Hat"), "b, c.jpg": (), "d.jpg": None}
    assert source.attribute_names() == ("Wearing_Hat", "Eyeglasses")
    rows = describe(source)["annotations"]
    assert list(rows.values()) == [3, 1, 1]


@pytest.mark.parametrize(
    "table",
    [
        "image_id;Male;Young\na.jpg;-1;1\nb.jpg;1;-1\n",
        "ID\tMale\tYoung\na.jpg\t0\t1\nb.jpg\t1\t0\n",
        "filename, Male, Young\r\na.jpg, 0, 1\r\nb.jpg, 1, 0\r\n",
    ],
)
def test_tables_with_other_separators_keys_and_values(plant, table):
    source = open_source("folder", plant({"a.jpg": 1, "b.jpg": 2, "t.csv": table}), attributes="t.csv")
    assert [sample.attributes for sample in source.samples()] == [("Young",), ("Male",)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "line 1: expected a header"),
        ("id,Hat,Hat\n", "line 1: expected a header"),
        ("id,Hat\na.jpg,1\nb.jpg\n", "line 3: expected 2 columns, found 1"),
        ("id,Hat\na.jpg,yes\n", "line 2: expected 1 or 0, found 'yes'"),
        ("id,Hat\na.jpg,1\na.jpg,0\n", "line 3: a second row for 'a.jpg'"),
        (b"id,Hat\na\xff.jpg,1\n", "line 2: the text is not valid UTF-8"),
        ('id,Hat\n"a".jpg,1\n', "line 2: not valid CSV"),
    ],
)
def test_malformed_tables_name_file_and_line(plant, table, message):
    source = open_source("folder", plant({"a.jpg": 1, "t.csv": table}), attributes="t.csv")
    with pytest.raises(UserError, match=f"t.csv, {message}"):
        source.samples()


def test_a_table_that_is_missing_is_the_users_mistake(plant):
    with pytest.raises(UserError, match=r"option attributes of source folder: 't.csv' is not there"):
        open_source("folder", plant({"a.jpg": 1}), attributes="t.csv").samples()


def test_portraits_are_complete_annotated_and_free():
    source = open_source("portraits")
    samples = source.samples()
    assert len(samples) == 24
    assert not source.refused()
    assert all(sample.attributes is not None for sample in samples)
    assert sum(sample.size for sample in samples) < 5.2e6
    assert len({source.digest(sample) for sample in samples}) == 24
    assert source.frame is None
    assert "CC0" in (resource("data/portraits") / "LICENSE").read_text()
    assert describe(source)["annotations"]["attribute rows without a photo"] == 0


def test_portraits_open_as_square_pictures_that_can_be_stored_unchanged():
    source = open_source("portraits")
    for sample in source.samples()[::8]:
        _, picture = source.load(sample)
        assert picture.photo.shape == (1024, 1024, 3)
        assert picture.encoded == source.read(sample.path)


def test_portraits_hold_glasses_and_hats_for_selection_to_reject():
    rules = {"exclude_attributes": ("Eyeglasses", "Wearing_Hat")}
    rejected = {s.id for s in open_source("portraits").samples() if check_annotations(s, **rules)}
    assert rejected == {"female-69", "female-79", "male-15"}


def test_portraits_from_another_folder_need_no_annotation(plant):
    samples = open_source("portraits", plant({"a.jpg": 1, "a.png": 2})).samples()
    assert [(sample.id, sample.attributes) for sample in samples] == [("a", None), ("a.png", None)]
