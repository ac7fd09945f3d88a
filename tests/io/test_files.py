"""One writer: the mode of its files, its temporary names, and names that a file system refuses."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sketchprep.core import weights
from sketchprep.datasets import sources
from sketchprep.errors import SampleError, UserError
from sketchprep.io import files
from sketchprep.nn import checkpoint_file
from sketchprep.sketching.single_stage import sketch_files

LONGEST = "x" * 251 + ".png"


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_every_file_has_the_mode_that_the_umask_leaves_also_where_safetensors_wrote_it(
    umask: int, tmp_path: Path
) -> None:
    with files.atomic(tmp_path / "model.safetensors") as temporary:
        save_file({"w": torch.zeros(2)}, temporary)
    checkpoint_file.write({"w": torch.zeros(2)}, tmp_path / "direct.safetensors", {})
    with files.atomic(tmp_path / "text") as temporary:
        temporary.write_text("plain")
    files.write_once(tmp_path / "once", b"")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("model.safetensors", "direct.safetensors", "text", "once"), 0o666 & ~umask)
    assert os.umask(umask) == umask


@pytest.mark.parametrize("name", ["short.png", LONGEST, "ä" * 125 + ".png"])
def test_the_longest_legal_name_has_a_legal_temporary_one(name: str, tmp_path: Path) -> None:
    files.write(b"data", tmp_path / name)
    files.write_once(tmp_path / "deep" / name, b"data")
    assert (tmp_path / name).read_bytes() == (tmp_path / "deep" / name).read_bytes() == b"data"
    assert not list(tmp_path.rglob("*.tmp"))
    other = files.temporary_beside(tmp_path / name.replace(".png", ".jpg"))
    assert other != files.temporary_beside(tmp_path / name)


def test_a_name_that_is_refused_fails_alone_and_a_folder_that_is_fails_all(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="File name too long") as failure:
        files.write_named(b"", tmp_path / ("x" * 256))
    assert failure.value.kind == "name"
    (tmp_path / "taken.png" / "by").mkdir(parents=True)
    with pytest.raises(SampleError, match="Is a directory"):
        files.write_named(b"", tmp_path / "taken.png")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Not a directory|File exists"):
        files.write_named(b"", tmp_path / "file" / "a.png")


def test_one_bad_name_of_many_stops_nobody(frontal: list[Path], tmp_path: Path) -> None:
    photos = [tmp_path / name for name in ("a.jpg", LONGEST.replace(".png", ".jpg"), "taken.jpg", "z.jpg")]
    for photo in photos:
        photo.write_bytes(frontal[0].read_bytes())
    out = tmp_path / "out"
    (out / "taken.png" / "full").mkdir(parents=True)
    failures = sketch_files(photos, "canny", out)
    assert [(failure.id, failure.kind) for failure in failures] == [(str(photos[2]), "name")]
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "taken.png", LONGEST, "z.png"]


def test_without_a_home_the_cache_is_a_folder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run with ``--user 12345``."""

    def nobody(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "SKETCHPREP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache = weights.cache_folder()
    assert cache.parent.parent == tmp_path
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700
    with pytest.raises(UserError, match="root='~/photos' does not exist"):
        sources.resolve_root("folder", "~/photos")
    monkeypatch.setattr("os.getuid", lambda: 12345)
    (tmp_path / "sketchprep-12345").mkdir()
    with pytest.raises(UserError, match=r"belongs to somebody else.*SKETCHPREP_CACHE"):
        weights.cache_folder()
