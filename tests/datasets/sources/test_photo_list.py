"""Lists of photos: text and Parquet, in any order, of any length."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sketchprep.datasets.sources import open_source, photo_list
from sketchprep.errors import UserError


def listed(root: Path, file: Path, **options):
    source = open_source("folder", root, **options)
    source.take_list(file)
    return source


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_a_text_list_names_the_photos_in_the_order_of_their_paths(plant, tmp_path):
    root = plant({"a.jpg": 1, "b/ü 2.jpg": 2, "c.jpg": 3})
    file = write(tmp_path / "list.txt", "\ufeffc.jpg\r\n./b/ü 2.jpg\n\nb/ü 2.jpg\nmissing.png")
    source = listed(root, file)
    samples = source.samples()
    assert [sample.id for sample in samples] == ["b/ü 2.jpg", "c.jpg", "missing.png"]
    assert {(sample.source, sample.size, sample.split, sample.attributes) for sample in samples} == {
        ("folder", -1, None, None)
    }
    assert source.load(samples[1])[0] == source.digest(samples[1])
    assert source.count() == 3
    assert source.count(2) == sum(map(len, source.batches(2))) == 2
    assert source.refused() == []


def test_paths_that_leave_the_root_and_broken_names_are_refused_by_name(plant, tmp_path):
    lines = [b"/etc/passwd", b"../a.jpg", b"x/../../a.jpg", b"a.jpg", b"n\xff.jpg", b"a..b/..c.jpg", b"z\0.jpg"]
    source = listed(plant({"a.jpg": 1}), write(tmp_path / "list", b"\n".join(lines)))
    assert [sample.id for sample in source.samples()] == ["a..b/..c.jpg", "a.jpg"]
    assert {(f.id, f.kind) for f in source.refused()} == {
        ("/etc/passwd", "leaves-root"),
        ("../a.jpg", "leaves-root"),
        ("x/../../a.jpg", "leaves-root"),
        ("z\0.jpg", "leaves-root"),
        ("n\\xff.jpg", "bad-name"),
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_list_in_any_order_is_sorted_in_pieces(seed, plant, tmp_path, monkeypatch):
    monkeypatch.setattr(photo_list, "BATCH_ROWS", 7)
    monkeypatch.setattr(photo_list, "CHUNK_BYTES", 100)
    chance = random.Random(seed)
    paths = [f"{chance.randrange(400):03d}/é{chance.randrange(9)}.jpg" for _ in range(1000)]
    source = listed(plant({"a.jpg": 1}), write(tmp_path / "list", "\n".join(paths)))
    found = [id_ for batch in source.batches() for id_ in batch["id"].to_pylist()]
    assert found == sorted(set(paths))
    assert source.count() == len(found)
    assert max(map(len, source.batches())) <= 7


def test_a_parquet_list_says_more_of_each_photo(plant, tmp_path):
    root = plant({"a.jpg": 1, "b.jpg": 2})
    columns = {
        "path": pa.array(["b.jpg", "a.jpg", "b.jpg"]).dictionary_encode(),
        "size": pa.array([7, None, 9], pa.int32()),
        "split": ["test", "train", "train"],
        "attributes": [["Male"], [], None],
        "pose": [[1.0, 2.0, 3.0], None, None],
        "sha256": ["a" * 64, None, None],
        "anything": [1, 2, 3],
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    source = listed(root, tmp_path / "list.parquet")
    a, b = source.samples()
    assert (a.id, a.size, a.split, a.attributes, a.pose) == ("a.jpg", -1, "train", (), None)
    assert (b.id, b.size, b.split, b.attributes, b.pose) == ("b.jpg", 7, "test", ("Male",), (1.0, 2.0, 3.0))
    assert [d for batch in source.batches() for d in batch["sha256"].to_pylist()] == [None, "a" * 64]


def test_a_table_of_attributes_goes_with_a_list(plant, tmp_path):
    root = plant({"a.jpg": 1, "b.jpg": 2, "t.csv": "id,Hat\nb.jpg,1\n"})
    source = listed(root, write(tmp_path / "list", "a.jpg\nb.jpg\n"), attributes="t.csv")
    assert [sample.attributes for sample in source.samples()] == [None, ("Hat",)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": ["a.jpg"]}, "no column 'path' .columns: file"),
        ({"path": [1.5]}, "column 'path' holds double; expected text"),
        ({"path": ["a.jpg", None]}, "column 'path' holds None"),
        ({"path": ["a.jpg"], "split": ["dev"]}, "'dev'; expected train, val or test"),
        ({"path": ["a.jpg"], "sha256": ["AB"]}, "'AB'; expected 64 hexadecimal"),
    ],
)
def test_a_parquet_file_that_is_no_list_is_one_sentence(columns, message, plant, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    with pytest.raises(UserError, match=f"photo_list='.*{message}"):
        listed(plant({"a.jpg": 1}), tmp_path / "list.parquet")


def test_other_mistakes_are_one_sentence(plant, tmp_path):
    root = plant({"a.jpg": 1})
    with pytest.raises(UserError, match=r"photo_list='.*nowhere.txt': .*No such file"):
        listed(root, tmp_path / "nowhere.txt")
    with pytest.raises(UserError, match=r"^photo_list='"):
        listed(root, write(tmp_path / "no.parquet", "a.jpg\n"))
    with pytest.raises(UserError, match="a line of over 65,536 bytes"):
        listed(root, write(tmp_path / "long", b"x" * 70_000))
    portraits = open_source("pairs", plant({"photos/a.jpg": 1, "sketches/a.jpg": 2}, "pairs"))
    with pytest.raises(UserError, match=r"photo_list='.*': goes with `source` folder; pairs"):
        portraits.take_list(tmp_path / "list")
