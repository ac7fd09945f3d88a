"""Listing and reading folders full of traps."""

import os
import pickle

import pytest

from sketchprep.datasets.sources import open_tree
from sketchprep.datasets.sources.folder_tree import FolderTree
from sketchprep.errors import SampleError, UserError

NAMES = [
    "a.jpg",
    "a.png",
    "b c/a.jpg",
    "b c/d.e.f.jpeg",
    "ünï/日本 語.PNG",
    "new\nline.jpg",
    "deep/er/est/a.jpg",
    "-o.webp",
]


def paths(root):
    return [entry.path for entry in FolderTree(root).files().files]


def refusals(root):
    return {refusal.path: refusal.kind for refusal in FolderTree(root).files().refused}


def test_odd_names_and_equal_names_in_sub_folders_are_all_listed(plant):
    root = plant(dict.fromkeys(NAMES, b"x"))
    assert paths(root) == sorted(NAMES)
    assert all(FolderTree(root).read(path) == b"x" for path in paths(root))


def test_order_of_creation_has_no_influence(plant):
    one = plant(dict.fromkeys(NAMES, b"x"), "one")
    two = plant(dict.fromkeys(reversed(NAMES), b"x"), "two")
    assert FolderTree(one).files() == FolderTree(two).files()


def test_hidden_and_other_files_are_passed_over_and_counted(plant):
    hidden = [".hidden.jpg", ".git/a.jpg", "__MACOSX/a.jpg", "__MACOSX/._a.jpg", "b/.DS_Store"]
    listing = FolderTree(plant(dict.fromkeys(["a.jpg", "b/notes.TXT", "b/x.txt", "Makefile", *hidden], b"x"))).files()
    assert [entry.path for entry in listing.files] == ["a.jpg"]
    assert listing.ignored.counts == {".txt": 2, "no extension": 1}
    assert not listing.refused


def test_listing_opens_no_file(plant, monkeypatch):
    root = plant({"a.jpg": b"not a picture", "empty.png": b""})

    def refuse(*args, **kwargs):
        raise AssertionError("opened a file")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(os, "open", refuse)
    listing = FolderTree(root).files()
    assert [(entry.path, entry.size) for entry in listing.files] == [("a.jpg", 13), ("empty.png", 0)]


def test_a_root_that_is_a_link_is_followed(plant, tmp_path):
    root = plant({"a.jpg": b"x"})
    (tmp_path / "link").symlink_to(root)
    tree = open_tree(tmp_path / "link")
    assert [entry.path for entry in tree.files().files] == ["a.jpg"]
    assert tree.read("a.jpg") == b"x"


def test_links_that_leave_the_root_are_refused_and_never_read(plant, tmp_path):
    root = plant({"a.jpg": b"x"})
    secret = tmp_path / "corpus-secret"
    secret.mkdir()
    (secret / "s.jpg").write_bytes(b"secret")
    (root / "file.jpg").symlink_to(secret / "s.jpg")
    (root / "folder").symlink_to(secret)
    (root / "up").symlink_to("../corpus-secret")
    (root / "passwd.txt").symlink_to("/etc/passwd")
    assert paths(root) == ["a.jpg"]
    assert refusals(root) == {"file.jpg": "leaves-root", "folder": "leaves-root", "up": "leaves-root"}
    for path in ("file.jpg", "folder/s.jpg", "../corpus-secret/s.jpg", "/etc/passwd", "passwd.txt", "x/../../a", ""):
        with pytest.raises(SampleError) as caught:
            FolderTree(root).read(path)
        assert caught.value.kind == "leaves-root", path


def test_a_file_swapped_for_a_leaving_link_after_listing_is_not_read(plant, tmp_path):
    root = plant({"a.jpg": b"x"})
    (tmp_path / "s.jpg").write_bytes(b"secret")
    assert paths(root) == ["a.jpg"]
    (root / "a.jpg").unlink()
    (root / "a.jpg").symlink_to(tmp_path / "s.jpg")
    with pytest.raises(SampleError, match="leaves"):
        FolderTree(root).read("a.jpg")


@pytest.mark.timeout(20)
def test_links_that_loop_end_as_rows(plant):
    root = plant({"a.jpg": b"x", "b/c/d.jpg": b"x"})
    (root / "b/c/up").symlink_to("..")
    (root / "b/top").symlink_to(root)
    (root / "b/self").symlink_to(".")
    (root / "own.jpg").symlink_to("own.jpg")
    (root / "ping").symlink_to("pong")
    (root / "pong").symlink_to("ping")
    assert paths(root) == ["a.jpg", "b/c/d.jpg"]
    loops = ["b/c/up", "b/self", "b/top", "own.jpg", "ping", "pong"]
    assert refusals(root) == dict.fromkeys(loops, "link-loop")


@pytest.mark.timeout(20)
def test_folders_that_link_to_each_other_end_the_walk(plant):
    root = plant({"one/a.jpg": b"1", "two/b.jpg": b"2"})
    (root / "one/two").symlink_to("../two")
    (root / "two/one").symlink_to("../one")
    listing = FolderTree(root).files()
    assert [entry.path for entry in listing.files] == ["one/a.jpg", "two/b.jpg"]
    assert listing.ignored.counts == {"link to a folder listed already": 2}
    # Listed alone, a folder is left through its link, but its own link back is not walked again.
    assert [entry.path for entry in FolderTree(root).files("one").files] == ["one/a.jpg", "one/two/b.jpg"]


def test_links_that_stay_inside_are_used(plant):
    root = plant({"store/.data/real.jpg": b"x", "store/.data/set/y.jpg": b"y"})
    (root / "a.jpg").symlink_to("store/.data/real.jpg")
    (root / "set").symlink_to("store/.data/set")
    assert paths(root) == ["a.jpg", "set/y.jpg"]
    assert FolderTree(root).read("a.jpg") == b"x"
    assert FolderTree(root).read("set/y.jpg") == b"y"


def test_a_link_to_nothing_is_a_row(plant):
    root = plant({"a.jpg": b"x"})
    (root / "gone.jpg").symlink_to("nothing.jpg")
    (root / "far.jpg").symlink_to("../nothing.jpg")
    assert refusals(root) == {"gone.jpg": "broken-link", "far.jpg": "leaves-root"}


@pytest.mark.timeout(20)
def test_pipes_and_folders_named_like_pictures_neither_hang_nor_count(plant):
    root = plant({"folder.jpg/a.jpg": b"x"})
    os.mkfifo(root / "pipe.jpg")
    os.mkfifo(root / "pipe")
    assert paths(root) == ["folder.jpg/a.jpg"]
    assert refusals(root) == {"pipe.jpg": "not-a-file"}
    for path in ("pipe.jpg", "folder.jpg"):
        with pytest.raises(SampleError) as caught:
            FolderTree(root).read(path)
        assert caught.value.kind == "not-a-file"


def test_names_that_are_not_utf8_are_rows_that_can_be_stored(plant):
    root = plant({"a.jpg": b"x"})
    base = os.fsencode(root)
    try:
        with open(base + b"/caf\xe9.jpg", "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    os.mkdir(base + b"/d\xff")
    with open(base + b"/d\xff/b.jpg", "wb") as file:
        file.write(b"x")
    assert paths(root) == ["a.jpg"]
    found = refusals(root)
    assert found == {"caf\\xe9.jpg": "bad-name", "d\\xff": "bad-name"}
    assert all(path.encode() for path in found)


def test_a_folder_that_cannot_be_listed_is_a_row(plant, monkeypatch):
    root = plant({"a.jpg": b"x", "locked/b.jpg": b"x"})
    scan = os.scandir

    # Permissions do not bind root, who may be running the tests.
    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert paths(root) == ["a.jpg"]
    assert refusals(root) == {"locked": "unreadable"}


def test_a_file_that_cannot_be_read_names_the_reason(plant, monkeypatch):
    root = plant({"a.jpg": b"x"})

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SampleError, match=r"'a\.jpg' cannot be read: Permission denied") as caught:
        FolderTree(root).read("a.jpg")
    assert caught.value.kind == "unreadable"
    assert not caught.value.rejected


def test_missing_and_huge_files(plant):
    root = plant({"a.jpg": b"x", "small.jpg": b"12345"})
    with open(root / "huge.jpg", "wb") as file:
        file.truncate(600 * 2**20)
    tree = FolderTree(root)
    with pytest.raises(SampleError, match="629,145,600 bytes") as caught:
        tree.read("huge.jpg")
    assert caught.value.kind == "too-large"
    with pytest.raises(SampleError, match="5 bytes; the limit is 4"):
        tree.read("small.jpg", limit=4)
    assert tree.read("small.jpg", limit=5) == b"12345"
    with pytest.raises(SampleError) as caught:
        tree.read("gone.jpg")
    assert caught.value.kind == "missing"


def test_a_root_that_is_missing_or_no_corpus_is_the_users_mistake(plant):
    root = plant({"a.txt": b"hello"})
    with pytest.raises(UserError, match="does not exist"):
        open_tree(root / "nowhere")
    with pytest.raises(UserError, match="neither a folder nor a zip"):
        open_tree(root / "a.txt")


def test_a_pickled_tree_reads_the_same(plant):
    root = plant({"a.jpg": b"x"})
    copy = pickle.loads(pickle.dumps(FolderTree(root)))
    assert copy.files() == FolderTree(root).files()
    assert copy.read("a.jpg") == b"x"


def test_a_root_that_cannot_be_listed_is_the_users_mistake(plant, monkeypatch):
    root = plant({"a.jpg": b"x"})

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    for look in (FolderTree(root).files, FolderTree(root).folders):
        with pytest.raises(UserError, match="cannot be listed: Permission denied"):
            look()
