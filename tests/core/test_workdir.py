"""A claimed folder: one process at a time, refused to strangers, and resumed wherever its first holder was killed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from quick import QUICK
from toy_tasks import QUICK as QUICK_OPTIONS
from toy_tasks import Invert

import sketchprep
from sketchprep.core import workdir
from sketchprep.datasets.build import claim
from sketchprep.datasets.components import crop
from sketchprep.datasets.export import export
from sketchprep.errors import UserError
from sketchprep.sketching import recipe
from sketchprep.training import run_dir
from sketchprep.training.loop import fit

# What changes a file system; a process is killed before each such call.
CALLS = {"mkdir", "open", "write", "close", "__exit__", "fsync", "replace", "rename", "unlink", "flock", "ftruncate"}


def dataset(out: Path) -> AbstractContextManager[Any]:
    return claim.claim(out, recipe.load(QUICK), {"dtype": "float32"})


def run(out: Path) -> AbstractContextManager[Any]:
    return run_dir.claim(out, {"task": "toy"}, {}, {})


def cropped(out: Path) -> AbstractContextManager[Any]:
    return workdir.claim_output(out, crop.MARKER, {"layout": "deepfacedrawing"})


def exported(out: Path) -> AbstractContextManager[Any]:
    return workdir.claim_output(out, export.MARKER, {"to": "pix2pix"})


KINDS = {
    "dataset": (dataset, "recipe.yaml"),
    "run": (run, run_dir.MARKER),
    "crop": (cropped, crop.MARKER),
    "export": (exported, export.MARKER),
}


def killed_at(step: int, claim: Callable[[Path], AbstractContextManager[Any]], out: Path) -> bool:
    """Claim a folder in another process that is killed before its call number `step`; False if it makes fewer."""
    context = claim(out)
    child = os.fork()
    if child == 0:
        calls = 0

        def count(frame: Any, event: str, function: Any) -> None:
            nonlocal calls
            if event != "c_call" or isinstance(getattr(function, "__self__", None), io.StringIO):
                return
            if getattr(function, "__name__", "") in CALLS:
                calls += 1
                if calls > step:
                    os.kill(os.getpid(), signal.SIGKILL)

        with contextlib.suppress(BaseException):
            sys.setprofile(count)
            with context:
                sys.setprofile(None)
                os._exit(0)
        os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), "the claim itself failed"
    return status != 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_killed_at_any_step_of_claiming_leaves_a_folder_to_resume(kind: str, tmp_path: Path) -> None:
    claim, marker = KINDS[kind]
    lefts = set()
    for step in range(1000):
        out = tmp_path / str(step)
        killed = killed_at(step, claim, out)
        if out.exists():
            lefts |= {path.name.replace(str(step), "") for path in out.iterdir()}
        with claim(out):
            stored = yaml.safe_load((out / marker).read_text())
        assert stored
        assert not [path.name for path in out.iterdir() if path.name.endswith(".tmp")]
        if not killed:
            break
    assert 10 < step < 200
    assert any(name.endswith(".tmp") for name in lefts), "it was killed beside a marker that was not whole"


def leave_half_a_marker(claim: Callable[[Path], AbstractContextManager[Any]], out: Path) -> None:
    """Kill a claim between the writing of its marker and the rename."""
    for step in range(1000):
        assert killed_at(step, claim, out)
        if out.exists() and [path for path in out.iterdir() if path.name.endswith(".tmp")]:
            return


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_command_succeeds_after_a_kill_during_its_claim(
    kind: str, built: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    leave_half_a_marker(KINDS[kind][0], out)
    if kind == "dataset":
        assert sketchprep.build(recipe=QUICK, root=photos, out=out, jobs=1, limit=1, quiet=True).made == 1
    elif kind == "run":
        assert fit(Invert(), out, QUICK_OPTIONS, quiet=True).images == 96
    elif kind == "crop":
        assert crop.crop_components(built, out).written == 6
    else:
        assert export.export(built, "pix2pix", out).written == 6


def test_a_folder_is_held_by_one_process_and_ours_only_by_its_marker(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with workdir.claim(out, "m.yaml", busy="wait") as held:
        held.write({"a": 1})
        with pytest.raises(UserError, match="out': wait"), workdir.claim(out, "m.yaml", busy="wait"):
            pass
    (out / "result").touch()
    with workdir.claim(out, "m.yaml", busy="wait"):
        pass
    (out / "m.yaml").unlink()
    with (
        pytest.raises(UserError, match=r"out='.*out': the folder holds something else; choose an empty or a new one"),
        workdir.claim(out, "m.yaml", busy="wait"),
    ):
        pass


def test_a_lock_alone_does_not_make_a_strangers_folder_ours(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="something else"), exported(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "thesis.tex"]


def test_others_that_work_there_without_the_lock_can_be_asked_for(tmp_path: Path) -> None:
    def jobs() -> None:
        raise UserError("jobs are at work there")

    with (
        pytest.raises(UserError, match="jobs are at work"),
        workdir.claim(tmp_path / "out", "m.yaml", busy="", also_busy=jobs),
    ):
        pass
    with FileLock(tmp_path / "out" / ".lock").acquire(timeout=0):
        pass


def test_an_output_is_finished_or_begun_and_other_settings_are_refused_by_key(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with workdir.claim_output(out, "m.json", {"size": 1}) as held:
        assert held.done is None
    with workdir.claim_output(out, "m.json", {"size": 1}) as held:
        assert held.done is None
        held.finish({"written": 3})
    with workdir.claim_output(out, "m.json", {"size": 1}) as held:
        assert held.done == {"written": 3}
    assert json.loads((out / "m.json").read_text())["finished"] is True
    with (
        pytest.raises(UserError, match=r"holds something made otherwise \(size: 1 → 2\); choose a new folder"),
        workdir.claim_output(out, "m.json", {"size": 2}),
    ):
        pass
    (out / "m.json").write_text("{")
    with (
        pytest.raises(UserError, match=r"m\.json: is damaged; choose a new folder with `out`"),
        workdir.claim_output(out, "m.json", {"size": 1}),
    ):
        pass
