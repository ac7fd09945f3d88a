"""Exports that are run again, killed, stopped by a full disk, or sent to a folder in use."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from sketchprep.datasets.export.export import LAYOUTS, export
from sketchprep.errors import UserError

Make = Callable[..., Path]


def tree(folder: Path) -> dict[str, bytes]:
    """All files but the lock and the marker."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "export.json"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


@pytest.mark.parametrize("to", LAYOUTS)
def test_running_again_writes_nothing_and_mends_what_is_missing(drawn: Make, tmp_path: Path, to: str) -> None:
    data = drawn(size=512, template="apdrawing", train=2, test=1)
    out = tmp_path / "out"
    first = export(data, to, out)
    before = tree(out)
    again = export(data, to, out)
    assert (again.written, again.skipped) == (0, 3)
    assert again.command == first.command
    assert tree(out) == before
    if to == "shards":
        (out / "shards" / "test-000000.parquet").unlink()
    else:
        next(p for p in out.rglob("000000002*") if p.suffix in (".png", ".jpg")).unlink()
    assert export(data, to, out).written == 1
    assert tree(out) == before


@pytest.mark.parametrize("to", LAYOUTS)
def test_a_killed_export_resumes_to_the_same_files(drawn: Make, tmp_path: Path, to: str) -> None:
    data = drawn(size=512, template="apdrawing", train=4, test=2)
    export(data, to, tmp_path / "whole")
    code = (
        "import os, sys\nfrom sketchprep.datasets.export import export\n"
        "class Bar:\n    n = 0\n    def update(self, k):\n        self.n += k\n"
        "        if self.n == 4: os.kill(os.getpid(), 9)\n    def close(self): pass\n"
        "export.export(sys.argv[1], sys.argv[2], sys.argv[3], progress=lambda n, text: Bar())\n"
    )
    command = [sys.executable, "-c", code, str(data), to, str(tmp_path / "killed")]
    assert subprocess.run(command, check=False, timeout=120).returncode == -9
    folder = tmp_path / "killed" / ("shards" if to == "shards" else "train")
    folder.mkdir(exist_ok=True)
    (folder / ".000000009.png.77.tmp").write_bytes(b"half a pict")
    export(data, to, tmp_path / "killed")
    whole, resumed = tree(tmp_path / "whole"), tree(tmp_path / "killed")
    whole.pop("README.md", None), resumed.pop("README.md", None)  # the card names its folder
    assert resumed == whole


def test_a_folder_with_something_else_is_refused(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(), tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(UserError, match="something else"):
        export(data, "pix2pix", out)
    assert list(out.iterdir()) == [out / "thesis.tex"]
    export(data, "pix2pix", tmp_path / "other")
    with pytest.raises(UserError, match=r'to: "pix2pix" → "pix2pixhd"'):
        export(data, "pix2pixhd", tmp_path / "other")
    with pytest.raises(UserError, match=r"size: 128 → 64"):
        export(data, "pix2pix", tmp_path / "other", size=64)


def test_a_full_disk_is_one_sentence_and_the_export_goes_on_later(
    drawn: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out, left = drawn(), tmp_path / "out", [5]
    write = Path.write_bytes

    def short(path: Path, content: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", short)
    with pytest.raises(UserError, match=r"disk .* is full"):
        export(data, "pix2pix", out)
    monkeypatch.undo()
    done = len(list(out.rglob("*.png")))
    assert 0 < done < 8
    assert not list(out.rglob("*.tmp"))
    assert export(data, "pix2pix", out).written == 8 - done


def test_a_folder_that_another_process_fills_is_left_alone(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(), tmp_path / "out"
    export(data, "pix2pix", out, limit=1)
    with FileLock(out / ".lock"), pytest.raises(UserError, match="another process"):
        export(data, "pix2pix", out, limit=1)
