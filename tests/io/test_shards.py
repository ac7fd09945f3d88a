"""Shards: plain tars with WebDataset names whose bytes depend on their content alone."""

from __future__ import annotations

import hashlib
import tarfile

import pytest

from sketchprep.io import shards
from sketchprep.io.files import atomic


def write(path, pairs):
    writer = shards.ShardWriter(path)
    members = [writer.add(number, files) for number, files in pairs]
    return members, writer.close()


PAIRS = [(0, {"photo.jpg": b"p" * 1000, "json": b"{}"}), (7, {"photo.jpg": b"", "sketch.png": b"s" * 512})]


def test_members_are_found_at_their_offsets(tmp_path) -> None:
    path = tmp_path / "x.tar"
    members, (size, digest) = write(path, PAIRS)
    data = path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest)
    for (_, files), written in zip(PAIRS, members, strict=True):
        assert [m.name for m in written] == list(files)
        for member in written:
            stored = data[member.offset : member.offset + member.size]
            assert stored == files[member.name]
            assert hashlib.sha256(stored).hexdigest() == member.sha256


def test_tar_opens_with_webdataset_names_and_no_trace_of_the_machine(tmp_path) -> None:
    write(tmp_path / "x.tar", PAIRS)
    with tarfile.open(tmp_path / "x.tar") as tar:
        infos = tar.getmembers()
    names = ["000000000.photo.jpg", "000000000.json", "000000007.photo.jpg", "000000007.sketch.png"]
    assert [info.name for info in infos] == names
    assert {(i.mtime, i.uid, i.gid, i.uname, i.gname, i.mode) for i in infos} == {(0, 0, 0, "", "", 0o644)}


def test_the_same_content_gives_the_same_bytes(tmp_path) -> None:
    write(tmp_path / "a.tar", PAIRS)
    write(tmp_path / "b.tar", PAIRS)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_interrupted_write_leaves_the_old_file_and_no_litter(tmp_path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
