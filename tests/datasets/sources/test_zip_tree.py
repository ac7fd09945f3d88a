"""Reading a corpus inside its zip."""

import io
import multiprocessing
import os
import pickle
import stat
import struct
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from sketchprep.datasets.sources import open_source, open_tree
from sketchprep.datasets.sources.folder_tree import FolderTree
from sketchprep.datasets.sources.zip_tree import ZipTree
from sketchprep.errors import SampleError, UserError


@pytest.fixture
def make(tmp_path):
    def make(members, method=zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
            warnings.simplefilter("ignore")
            for name, data in members:
                archive.writestr(name, data)
        (tmp_path / "c.zip").write_bytes(buffer.getvalue())
        return tmp_path / "c.zip"

    return make


def test_a_zip_lists_and_reads_as_its_folder_does(plant, zipped):
    root = plant(
        {"a b.jpg": 1, "ü/a.jpg": 2, "ü/a.png": 3, "x.y.jpg": 4, "new\nline.jpg": 5, "n.txt": b"-", ".h.jpg": 6}
    )
    folder, archive = FolderTree(root), open_tree(zipped(root))
    assert isinstance(archive, ZipTree)
    assert archive.files() == folder.files()
    assert archive.files("ü") == folder.files("ü")
    assert archive.folders() == folder.folders() == ["ü"]
    for entry in folder.files().files:
        assert archive.read(entry.path) == folder.read(entry.path)
    for path in ("ü", "ü/a.jpg", "u", "ü/a"):
        assert archive.kind(path) == folder.kind(path)


def test_a_zipped_source_gives_the_same_samples_digests_and_pixels(plant, zipped):
    root = plant({f"{n % 3}/{n}.jpg": n for n in range(7)})
    folder, archive = open_source("folder", root), open_source("folder", zipped(root))
    assert archive.samples() == folder.samples()
    for sample in folder.samples():
        digest, picture = archive.load(sample)
        assert digest == folder.digest(sample) == archive.digest(sample)
        assert (picture.photo == folder.load(sample)[1].photo).all()


def test_names_that_lead_out_of_the_zip_are_rows(make):
    bad = ["../evil.jpg", "/abs.jpg", "a/../../b.jpg", "c\\..\\d.jpg"]
    listing = ZipTree(make([(name, b"x") for name in ["ok.jpg", *bad]])).files()
    assert [entry.path for entry in listing.files] == ["ok.jpg"]
    assert {refusal.path for refusal in listing.refused} == set(bad)
    assert {refusal.kind for refusal in listing.refused} == {"bad-name"}


def test_a_link_in_a_zip_is_not_followed(make):
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    listing = ZipTree(make([(link, b"/etc/passwd"), ("a.jpg", b"x")])).files()
    assert [entry.path for entry in listing.files] == ["a.jpg"]
    assert [(refusal.path, refusal.kind) for refusal in listing.refused] == [("link.jpg", "link")]


def test_of_members_with_one_name_the_last_is_used_once(make):
    archive = ZipTree(make([("a.jpg", b"old"), ("a.jpg", b"newer")]))
    listing = archive.files()
    assert [(entry.path, entry.size) for entry in listing.files] == [("a.jpg", 5)]
    assert [refusal.kind for refusal in listing.refused] == ["duplicate-name"]
    assert archive.read("a.jpg") == b"newer"


def test_a_bomb_is_refused_by_its_declared_size(make):
    archive = ZipTree(make([("bomb.jpg", bytes(5_000_000))]))
    with pytest.raises(SampleError) as caught:
        archive.read("bomb.jpg", limit=1_000_000)
    assert caught.value.kind == "too-large"
    assert len(archive.read("bomb.jpg", limit=5_000_000)) == 5_000_000


def test_a_bomb_that_declares_too_little_unpacks_no_further(make):
    path = make([("bomb.jpg", bytes(5_000_000))])
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", 5_000_000), struct.pack("<L", 1000)))
    with pytest.raises(SampleError) as caught:
        ZipTree(path).read("bomb.jpg", limit=2000)
    assert caught.value.kind == "corrupt"


def test_a_flipped_byte_is_noticed(make):
    path = make([("a.jpg", b"hello there, this is stored")], zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"hello", b"jello"))
    with pytest.raises(SampleError, match="damaged") as caught:
        ZipTree(path).read("a.jpg")
    assert caught.value.kind == "corrupt"


def test_encrypted_and_rare_compressions_name_the_remedy(make):
    with pytest.raises(SampleError, match="unpack the zip") as caught:
        ZipTree(make([("a.jpg", b"x" * 99)], zipfile.ZIP_LZMA)).read("a.jpg")
    assert caught.value.kind == "unsupported"


def test_an_encrypted_member_is_a_row(make, tmp_path):
    data = bytearray(make([("a.jpg", b"x" * 99)]).read_bytes())
    data[6] |= 1  # local header's flags
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the directory's
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(SampleError) as caught:
        ZipTree(tmp_path / "locked.zip").read("a.jpg")
    assert caught.value.kind == "encrypted"


def test_missing_members_and_folders(make):
    archive = ZipTree(make([("d/", b""), ("d/a.jpg", b"x")]))
    for path in ("b.jpg", "d", "d/"):
        with pytest.raises(SampleError) as caught:
            archive.read(path)
        assert caught.value.kind == "missing"
    with pytest.raises(SampleError, match="stay inside"):
        archive.read("../d/a.jpg")


def test_a_truncated_zip_is_the_users_mistake(make):
    path = make([("a.jpg", os.urandom(5000))])
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match="neither a folder nor a zip"):
        open_tree(path)


def _read_all(archive):
    return [archive.read(entry.path) for entry in archive.files().files]


def test_forked_workers_and_threads_do_not_disturb_each_other(make):
    members = [(f"{n:02d}.jpg", bytes([n]) * 50_000 + os.urandom(2000)) for n in range(20)]
    archive = ZipTree(make(members))
    expected = [data for _, data in members]
    assert _read_all(archive) == expected
    assert pickle.loads(pickle.dumps(archive)).files() == archive.files()
    with ThreadPoolExecutor(4) as threads:
        assert all(result == expected for result in threads.map(_read_all, [archive] * 8))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert all(result == expected for result in pool.map(_len_checked, [archive] * 2))


def _len_checked(archive):
    return _read_all(archive)


def test_a_fork_opens_its_own_handle(make):
    archive = ZipTree(make([("a.jpg", b"1" * 10), ("b.jpg", b"2" * 10)], zipfile.ZIP_STORED))
    archive.read("a.jpg")
    before = archive._zip()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        own = archive._zip() is not before and archive.read("b.jpg") == b"2" * 10
        os.write(writer, b"y" if own else b"n")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"y"


def test_backslashes_are_separators(make):
    names = ["faces\\a.jpg", "faces\\sub\\b.jpg", "faces\\", "plain/c.jpg", "plain\\c.jpg", "C:\\d.jpg", "\\e.jpg"]
    archive = ZipTree(make([(name, name.encode()) for name in names]))
    listing = archive.files()
    assert [entry.path for entry in listing.files] == ["faces/a.jpg", "faces/sub/b.jpg", "plain/c.jpg"]
    assert archive.read("faces/sub/b.jpg") == b"faces\\sub\\b.jpg"
    assert archive.read("plain/c.jpg") == b"plain/c.jpg"
    assert archive.folders() == ["faces", "plain"]
    kinds = [(refusal.path, refusal.kind) for refusal in listing.refused]
    assert kinds == [("C:\\d.jpg", "bad-name"), ("\\e.jpg", "bad-name"), ("plain/c.jpg", "duplicate-name")]


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_LZMA, "LZMA"), (zipfile.ZIP_BZIP2, "bzip2")])
def test_rare_compressions_are_named(make, method, name):
    with pytest.raises(SampleError, match=f"'a.jpg' is compressed by {name}: unpack the zip"):
        ZipTree(make([("a.jpg", b"x" * 99)], method)).read("a.jpg")
