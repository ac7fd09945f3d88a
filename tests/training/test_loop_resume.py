"""A run that was interrupted, and one that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_tasks import QUICK, Invert, Rival, Slow

from sketchprep.errors import UserError
from sketchprep.training.checkpoint import load_latest
from sketchprep.training.loop import fit
from sketchprep.training.options import Schedule
from sketchprep.training.task import Task

SCRIPT = Path(__file__).resolve().parents[1] / "helpers" / "toy_tasks.py"


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def stats(run: Path) -> list[dict[str, float]]:
    """The lines of the statistics without what is measured by the clock."""
    timed = ("hours", "images_per_second", "seconds_waiting", "peak_memory")
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in timed} for line in lines]


def lines_of(run: Path) -> int:
    path = run / "stats.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start(task: str, run: Path, *changes: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), task, str(run), *changes]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("task", [Invert(), Rival()], ids=["one network", "GAN"])
@pytest.mark.parametrize("kept", [32, 64])
def test_going_on_from_a_checkpoint_gives_the_same_bits(tmp_path: Path, task: Task, kept: int) -> None:
    fit(task, tmp_path / "whole", QUICK, quiet=True)
    fit(task, tmp_path / "cut", QUICK, quiet=True)
    for folder in (tmp_path / "cut" / "checkpoints").iterdir():  # as if it had been killed after this checkpoint
        if int(folder.name) > kept:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    again = fit(task, tmp_path / "cut", QUICK, quiet=True)
    assert again.images == 96
    last = "checkpoints/000000096"
    assert parts(tmp_path / "cut" / last) == parts(tmp_path / "whole" / last)
    assert stats(tmp_path / "cut") == stats(tmp_path / "whole")


def test_a_killed_process_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    process = start("slow", tmp_path / "killed")
    wait_for((tmp_path / "killed" / "checkpoints" / "000000032").exists, process)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed" / "checkpoints" / "000000096").exists()
    process = start("slow", tmp_path / "killed")
    _, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    fit(Slow(), tmp_path / "whole", QUICK, quiet=True)
    last = "checkpoints/000000096"
    assert parts(tmp_path / "killed" / last) == parts(tmp_path / "whole" / last)
    assert stats(tmp_path / "killed") == stats(tmp_path / "whole")


def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    """One process gets three signals in turn, and goes on after each; the exit code is that of the last."""
    run, images, lines = tmp_path / "run", 0, 0
    process = start("slow", run, "save_every=100000", "images=100000", "workers=1", "fits=3")
    assert process.stdout is not None
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        wait_for(lambda before=lines: lines_of(run) > before, process)
        process.send_signal(number)
        said = process.stdout.readline()
        assert said.startswith(f"{128 + number}: "), process.communicate()[1]
        assert "run the same command to resume" in said
        found = load_latest(run)
        assert found is not None
        assert max(16, images + 1) <= found.images < 100_000
        assert found.images == stats(run)[-1]["images"]
        assert not list((run / "checkpoints").glob(".*"))
        images, lines = found.images, lines_of(run)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGINT, log


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    fit(Invert(), tmp_path / "run", QUICK, quiet=True)
    before = parts(tmp_path / "run" / "checkpoints" / "000000096"), stats(tmp_path / "run")
    assert fit(Invert(), tmp_path / "run", QUICK, quiet=True).images == 96
    assert (parts(tmp_path / "run" / "checkpoints" / "000000096"), stats(tmp_path / "run")) == before


def test_a_run_is_lengthened_in_place_by_more_images(tmp_path: Path) -> None:
    constant = QUICK.model_copy(update={"schedule": Schedule(kind="constant")})
    longer = constant.model_copy(update={"images": 160})
    fit(Invert(), tmp_path / "run", constant, quiet=True)
    assert fit(Invert(), tmp_path / "run", longer, quiet=True).images == 160
    fit(Invert(), tmp_path / "whole", longer, quiet=True)
    last = "checkpoints/000000160"
    tensors = [name for name in parts(tmp_path / "whole" / last) if name.endswith(".safetensors")]
    assert tensors
    for name in tensors:
        assert parts(tmp_path / "run" / last)[name] == parts(tmp_path / "whole" / last)[name]
    with pytest.raises(UserError, match=r"options\.images: 160 → 96"):
        fit(Invert(), tmp_path / "run", constant, quiet=True)


def test_batches_do_not_depend_on_the_processes_that_make_them(tmp_path: Path) -> None:
    for workers in (0, 2):
        fit(Invert(), tmp_path / str(workers), QUICK.model_copy(update={"workers": workers}), quiet=True)
    last = "checkpoints/000000096"
    assert parts(tmp_path / "0" / last) == parts(tmp_path / "2" / last)


def test_other_settings_are_refused_by_key(tmp_path: Path) -> None:
    fit(Invert(), tmp_path / "run", QUICK, quiet=True)
    changed = QUICK.model_copy(update={"images": 128, "seed": 3})
    with pytest.raises(UserError, match=r"options\.images: 96 → 128; options\.seed: 0 → 3.*`init_from`"):
        fit(Invert(), tmp_path / "run", changed, quiet=True)
    with pytest.raises(UserError, match=r"task\.width: 4 → 5"):
        fit(Invert(width=5), tmp_path / "run", QUICK, quiet=True)
    with pytest.raises(UserError, match=r'task\.name: "invert" → "rival"'):
        fit(Rival(), tmp_path / "run", QUICK, quiet=True)


def test_what_does_not_change_the_result_may_change(tmp_path: Path) -> None:
    fit(Invert(norm=False), tmp_path / "run", QUICK, quiet=True)
    smaller = QUICK.model_copy(update={"batch": 2, "accumulate": 2, "save_every": 8, "keep": 1})
    assert fit(Invert(norm=False), tmp_path / "run", smaller, quiet=True).images == 96


def test_a_new_run_from_old_weights_begins_with_the_averaged_ones(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    fit(Invert(), tmp_path / "old", QUICK, quiet=True)
    idle = QUICK.model_copy(update={"images": 4, "ema_half_life": 1e-3})
    result = fit(Invert(lr=1e-12), tmp_path / "new", idle, init_from=tmp_path / "old", quiet=True)
    assert result.images == 4
    old = load_file(tmp_path / "old" / "checkpoints" / "000000096" / "net.ema.safetensors")
    new = load_file(tmp_path / "new" / "checkpoints" / "000000004" / "net.safetensors")
    for name in ("0.weight", "0.bias"):
        assert (old[name] - new[name]).abs().max() < 1e-6
    with pytest.raises(UserError, match=r"init_from='.* another network: 0\.bias has shape \(4,\), expected \(6,\)"):
        fit(Invert(width=6), tmp_path / "wide", QUICK, init_from=tmp_path / "old", quiet=True)
    with pytest.raises(UserError, match="nothing that rival trains"):
        fit(Rival(), tmp_path / "rival", QUICK, init_from=tmp_path / "old", quiet=True)


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("rival", 4),
        pytest.param("rival", 20, marks=pytest.mark.integration),
        pytest.param("invert", 20, marks=pytest.mark.integration),
    ],
)
def test_two_processes_equal_one_with_two_accumulated_batches(tmp_path: Path, task: str, steps: int) -> None:
    from safetensors.torch import load_file

    changes = ["bare=true", f"images={8 * steps}"]  # without BatchNorm, whose statistics are each batch's own
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(SCRIPT), task, str(tmp_path / "two"), *changes]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    alone = QUICK.model_copy(update={"images": 8 * steps, "accumulate": 2})
    fit(Rival() if task == "rival" else Invert(norm=False), tmp_path / "one", alone, quiet=True)
    last = f"checkpoints/{8 * steps:09d}"
    for path in (tmp_path / "one" / last).glob("*.safetensors"):
        one, two = load_file(path), load_file(tmp_path / "two" / last / path.name)
        assert all((one[key] - two[key]).abs().max() < 1e-5 for key in one)
    assert stats(tmp_path / "one")[-1] == pytest.approx(stats(tmp_path / "two")[-1], rel=1e-4)
