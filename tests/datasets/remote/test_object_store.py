"""Single objects through a store that stumbles; URLs; sources in a bucket."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_site import SECRET, Fault

from sketchprep.datasets import sources
from sketchprep.errors import SampleError, UserError
from sketchprep.io import object_store


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3:///x", "s3://b/../x", "s3://b//x", "s3://b/x?y=1", "s3://b/x#y", "s3://b/x\ny", "zz://b/x", "http:"],
)
def test_urls_that_are_not_plain_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        object_store.entries(object_store.Url(text))


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match="must not hold credentials") as caught:
        object_store.Url(f"s3://key:{SECRET}@bucket/x")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("attempts", ["0", "many", "-1", "1.5"])
def test_a_count_of_attempts_that_is_none_is_one_sentence(attempts: str, bucket, monkeypatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", attempts)
    object_store._filesystem.cache_clear()
    with pytest.raises(UserError, match=f"AWS_MAX_ATTEMPTS={attempts}: must be a whole number"):
        object_store.entries(bucket.url)


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", "", "a//b", "."])
def test_no_key_leaves_its_prefix(key: str) -> None:
    with pytest.raises(ValueError, match="does not stay below"):
        object_store.Url("s3://bucket/prefix") / key


@pytest.mark.parametrize(
    "fault",
    [
        Fault(503, r"PUT .*big", 4),
        Fault(500, r"PUT .*big\?.*partNumber=2", 3, "InternalError"),  # one failing part of a multipart upload
        Fault("cut", r"PUT .*big\?.*partNumber=3"),
        Fault("reset", r"PUT .*big", 3),
        Fault(503, r"POST .*big", 3),
    ],
    ids=["503", "part-500", "part-cut", "reset", "503-complete"],
)
def test_a_large_upload_survives(fault: Fault, bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "PART_BYTES", 5 * 2**20)
    data = os.urandom(11 * 2**20)
    (tmp_path / "big").write_bytes(data)
    bucket.server.faults.append(fault)
    object_store.put(tmp_path / "big", bucket.url / "big")
    assert fault.seen == fault.times
    assert object_store.read(bucket.url / "big") == data


@pytest.mark.parametrize("kind", ["cut", "reset", 503])
def test_small_objects_survive_both_ways(kind: str | int, bucket, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "small").write_bytes(data)
    faults = [Fault(kind, r"PUT .*small", 2), Fault(kind, r"GET .*small", 2)]
    bucket.server.faults += faults
    object_store.put(tmp_path / "small", bucket.url / "small")
    object_store.get(bucket.url / "small", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert [fault.seen for fault in faults] == [2, 2]
    assert object_store.read(bucket.url / "small", 1000, 50) == data[1000:1050]


def test_an_object_that_is_not_there_is_told_from_a_failure(bucket) -> None:
    object_store.write(bucket.url / "new", b"1")
    assert object_store.read(bucket.url / "new") == b"1"
    assert object_store.read(bucket.url / "new", 5, 5) == b""
    object_store.remove(bucket.url / "new")
    object_store.remove(bucket.url / "new")
    with pytest.raises(FileNotFoundError):
        object_store.read(bucket.url / "new")
    assert object_store.entry(bucket.url / "new") is None


def test_a_bucket_lists_what_lies_below_its_prefix_and_nothing_else(bucket) -> None:
    for key in (
        "photos/a.jpg",
        "photos/in/b.PNG",
        "photos/notes.txt",
        "photos/.hidden/c.jpg",
        "photos2/d.jpg",
        "e.jpg",
    ):
        object_store.write(bucket.url / key, b"x" * 10)
    object_store._open(bucket.url)[0].pipe_file(f"{str(bucket.url)[5:]}/photos/in/../f.jpg", b"x")
    tree = sources.open_tree(bucket.url / "photos")
    listing = tree.files()
    assert [(entry.path, entry.size) for entry in listing.files] == [("a.jpg", 10), ("in/b.PNG", 10)]
    assert [(item.path, item.kind) for item in listing.refused] == [("in/../f.jpg", "bad-name")]
    assert listing.ignored.counts == {".txt": 1}
    assert tree.folders() == ["in"]
    assert [tree.kind(path) for path in ("a.jpg", "in", "none", "../e.jpg")] == ["file", "folder", None, None]
    for path, kind in (("../e.jpg", "leaves-root"), ("none.jpg", "missing")):
        with pytest.raises(SampleError) as caught:
            tree.read(path)
        assert caught.value.kind == kind
    with pytest.raises(SampleError, match="more than 5 bytes"):
        tree.read("a.jpg", limit=5)


def test_a_corpus_in_its_own_layout_is_the_same_in_a_bucket(bucket, tmp_path: Path) -> None:
    files = {
        "CelebA-HQ-img/0.jpg": b"photo 0",
        "CelebA-HQ-img/12.jpg": b"photo 12",
        "CelebAMask-HQ-pose-anno.txt": b"2\nYaw Pitch Raw\n0.jpg 1.5 2 3\n12.jpg 4 5 6\n",
        "CelebAMask-HQ-mask-anno/0/00000_nose.png": b"no picture",
    }
    for name, data in files.items():
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        object_store.write(bucket.url / f"top/{name}", data)
    local, stored = (sources.open_source("celebamask-hq", root) for root in (tmp_path / "corpus", str(bucket.url)))
    assert len(stored.samples()) == 2
    plain = [(s.id, s.size, s.pose, stored.digest(s)) for s in stored.samples()]
    assert plain == [(s.id, s.size, s.pose, local.digest(s)) for s in local.samples()]
    assert stored.mask_folder == local.mask_folder is not None
