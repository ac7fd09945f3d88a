"""Damaged and hostile zips, odd names and links in folders: a sentence, a row or a right picture, and nothing else."""

import io
import itertools
import os
import random
import struct
import warnings
import zipfile

import pytest

from sketchprep.datasets.sources import open_source, open_tree
from sketchprep.errors import SampleError, UserError

NAMES = [
    *("a.jpg", "b/c.png", "b\\c.png", "..\\up.jpg", "../up.jpg", "/abs.jpg", "C:\\x\\d.jpg", "\\\\host\\share\\e.jpg"),
    *(
        "no extension",
        "ü/é.jpg",
        "x" * 200 + ".jpg",
        "folder/",
        "folder\\",
        ".hidden.jpg",
        "__MACOSX/._a.jpg",
        "n\n.jpg",
    ),
    *("a.jpg", "deep/" * 40 + "f.jpg", "notes.txt", "", "./dot.jpg", "a//b.jpg", "con.jpg ", "photo.jpg!large"),
]
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
KINDS = {"corrupt", "encrypted", "unsupported", "too-large", "missing", "unreadable"}
JPEG = b"\xff\xd8\xff\xe0" + bytes(60)


def make(rng: random.Random) -> bytes:
    """A zip of some members under names that are sound, odd or hostile."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for name in rng.choices(NAMES, k=rng.randint(0, 6)):
            member = zipfile.ZipInfo(name)
            member.external_attr = rng.choice((0o100644, 0o120777, 0o010644, 0)) << 16
            data = rng.choice((JPEG, b"", bytes(rng.randint(0, 5000)), rng.randbytes(300)))
            archive.writestr(member, data, rng.choice(METHODS))
    return buffer.getvalue()


def damage(data: bytes, rng: random.Random) -> bytes:
    """Flip bytes, write large numbers, cut, repeat or leave it sound."""
    changed = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 3, 20))):
        at = rng.randrange(len(changed))
        kind = rng.random()
        if kind < 0.5:
            changed[at] = rng.randrange(256)
        elif kind < 0.8:
            changed[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x02014B50)))
        else:
            del changed[at : at + rng.randint(1, 40)]
        if not changed:
            return b"P"
    return bytes(changed)


def read(tree, path: str) -> bytes | SampleError:
    try:
        return tree.read(path)
    except SampleError as error:
        return error


def check(path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        tree = open_tree(path)
    except UserError:
        return
    listing = tree.files()
    for entry in listing.files:
        assert not entry.path.startswith("/")
        assert ".." not in entry.path.split("/")
        assert "\\" not in entry.path
        data = read(tree, entry.path)
        assert len(data) <= max(entry.size, 0) if isinstance(data, bytes) else data.kind in KINDS
    tree.folders()
    source = open_source("folder", path)
    assert len(source.samples()) == len(listing.files)
    assert source.left_out().text() is not None


def run(tmp_path, seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        # A path of its own: an open archive is kept by its path.
        check(tmp_path / f"{seed}.zip", damage(make(rng), rng))


def test_three_hundred_archives(tmp_path):
    run(tmp_path, range(300))


@pytest.mark.slow
def test_thousands_of_archives(tmp_path):
    run(tmp_path, range(1000, 6000))


PIECES = [
    "a",
    "é",
    "e\u0301",
    "名",
    "🙂",
    " ",
    ".",
    "..",
    "\\",
    "\n",
    "\x1b[31m",
    "'",
    '"',
    "%s",
    "{}",
    "*",
    "[",
    "-",
    "~",
    "\udce9",
]
ENDINGS = ["", ".jpg", ".JFIF", ".jpe", ".png ", ".txt", ".jpg.", ".tar.gz", ".jpg!small", ".DNG"]


def plant(root: str, rng: random.Random) -> dict[str, bytes]:
    """Folders, files and links of odd names below a root; returns what the files hold, by path."""
    folders, held = [root], {}
    for _ in range(rng.randint(1, 25)):
        name = "".join(rng.choices(PIECES, k=rng.randint(1, 60))) + rng.choice(ENDINGS)
        path = os.path.join(
            rng.choice(folders), name.encode("utf-8", "surrogateescape")[:250].decode("utf-8", "surrogateescape")
        )
        if os.path.lexists(path):
            continue
        kind = rng.random()
        if kind < 0.2:
            os.mkdir(path)
            folders.append(path)
        elif kind < 0.4:
            os.symlink(rng.choice([*folders, *held, "..", "../..", "nothing", path, "/etc"]), path)
        else:
            held[path] = rng.choice((JPEG, b"", b"text", JPEG * 5))
            with open(path, "wb") as file:
                file.write(held[path])
    return held


@pytest.mark.parametrize("follow_links", [False, True])
def test_folders_of_odd_names(tmp_path, follow_links):
    for seed in range(150):
        rng = random.Random(seed)
        root = tmp_path / f"{seed}" / "root"
        root.mkdir(parents=True)
        held = {os.path.realpath(path): data for path, data in plant(str(root), rng).items()}
        source = open_source("folder", root, follow_links=follow_links and "/etc" not in map(os.readlink, links(root)))
        samples = source.samples()
        assert len({sample.id for sample in samples}) == len(samples)
        for sample in samples:
            assert sample.id.encode()
            real = os.path.realpath(root / sample.path)
            assert real.startswith(str(tmp_path))
            assert source.read(sample.path) == held[real]
        text = source.left_out().text()
        assert not set(text) & set("\x1b\udce9")
        assert len(text.splitlines()) == 1 + len(source.left_out().reasons) or not text


def links(root) -> list[str]:
    """All links below a folder."""
    found = (os.path.join(top, name) for top, *names in os.walk(root) for name in itertools.chain(*names))
    return [path for path in found if os.path.islink(path)]
