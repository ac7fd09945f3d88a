"""What can go wrong with a run, each time one sentence."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from toy_tasks import QUICK, Invert, Poisoned, Rival

from sketchprep.errors import UserError
from sketchprep.training import checkpoint
from sketchprep.training.budget import dry_run
from sketchprep.training.loop import fit
from sketchprep.training.options import Options


@pytest.fixture
def run(tmp_path: Path) -> Path:
    fit(Invert(), tmp_path / "run", QUICK, quiet=True)
    return tmp_path / "run"


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss net\.l2 became nan in step 15 \(up to image 60\)"):
        fit(Poisoned(), tmp_path / "run", QUICK, quiet=True)
    found = checkpoint.load_latest(tmp_path / "run")
    assert found is not None
    assert found.images == 32
    assert all(torch.isfinite(v).all() for v in found.tensors("net").values())


def test_a_loss_that_is_no_number_is_never_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="became nan"):
        fit(Poisoned(), tmp_path / "run", QUICK.model_copy(update={"save_every": 4}), quiet=True)
    found = checkpoint.load_latest(tmp_path / "run")
    assert found is not None
    assert found.images == 56


@pytest.mark.parametrize("name", ["net.safetensors", "net.ema.safetensors", "net.optimiser.pt", "state.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_partial_checkpoint_is_refused_with_its_part(run: Path, name: str, damage: str) -> None:
    path = run / "checkpoints" / "000000096" / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=r"000000096 is (no whole checkpoint|not a checkpoint)") as caught:
        fit(Invert(), run, QUICK, quiet=True)
    assert "\n" not in str(caught.value)
    shutil.rmtree(path.parent)  # the remedy that the sentence names
    assert fit(Invert(), run, QUICK, quiet=True).images == 96


def test_foreign_checkpoints_are_refused(run: Path, tmp_path: Path) -> None:
    fit(Rival(), tmp_path / "other", QUICK, quiet=True)
    shutil.copytree(tmp_path / "other" / "checkpoints" / "000000096", run / "checkpoints" / "000000200")
    with pytest.raises(UserError, match=r"000000200: was started with other settings .*task\.name"):
        fit(Invert(), run, QUICK, quiet=True)
    for content in (b"", b"[]", b'{"format": "lightning"}', b'{"format": "sketchprep-checkpoint-1"}'):
        (run / "checkpoints" / "000000200" / "state.json").write_bytes(content)
        with pytest.raises(UserError, match="is not a checkpoint of sketchprep"):
            fit(Invert(), run, QUICK, quiet=True)
    with pytest.raises(UserError, match=r"init_from='.*nothing': there is no such run"):
        fit(Invert(), tmp_path / "new", QUICK, init_from=tmp_path / "nothing", quiet=True)
    with pytest.raises(UserError, match=r"init_from='.*': is no run that has checkpoints; name a run's folder"):
        fit(Invert(), tmp_path / "new", QUICK, init_from=tmp_path, quiet=True)
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_names_no_file_outside_its_folder(run: Path) -> None:
    path = run / "checkpoints" / "000000096" / "state.json"
    values = json.loads(path.read_text())
    values["files"] = {"../../../etc/passwd.safetensors": "0" * 64}
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="is not a checkpoint"):
        checkpoint.read(path.parent)


def test_optimisers_are_read_without_unpickling_code(run: Path) -> None:
    found = checkpoint.load_latest(run)
    assert found is not None
    assert set(found.optimisers()["net"]) == {"state", "param_groups"}
    torch.load(run / "checkpoints" / "000000096" / "net.optimiser.pt", weights_only=True)


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "the disk that holds .* is full; make space"), (errno.EIO, "cannot be written")]
)
def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    write = checkpoint._write

    def full(path: Path, data: bytes) -> None:
        if "000000064" in str(path) and path.name.endswith(".optimiser.pt"):
            path.write_bytes(data[:10])
            raise OSError(code, "the device's words")
        write(path, data)

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(UserError, match=f"{words}.* run the same command again"):
        fit(Invert(), tmp_path / "run", QUICK, quiet=True)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["000000032"]
    monkeypatch.undo()
    assert fit(Invert(), tmp_path / "run", QUICK, quiet=True).images == 96


def test_folders_that_are_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    with pytest.raises(UserError, match="something else"):
        fit(Invert(), tmp_path / "thesis", QUICK, quiet=True)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        fit(Invert(), tmp_path / "file" / "run", QUICK, quiet=True)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.yaml").write_text("settings: [")
    with pytest.raises(UserError, match="is damaged"):
        fit(Invert(), tmp_path / "damaged", QUICK, quiet=True)
    (tmp_path / "busy").mkdir()
    with FileLock(tmp_path / "busy" / ".lock"), pytest.raises(UserError, match="another process is training there"):
        fit(Invert(), tmp_path / "busy", QUICK, quiet=True)


@pytest.mark.parametrize(
    ("batch", "accumulate", "advice"),
    [(8, 1, "batch=4 accumulate=2"), (6, 2, "batch=3 accumulate=4"), (7, 1, "batch=1 accumulate=7")],
)
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_names_the_batch_to_try(
    tmp_path: Path, error: Exception, batch: int, accumulate: int, advice: str
) -> None:
    class Greedy(Invert):
        def loss(self, modules: Any, batch: Any) -> Any:
            raise error

    options = QUICK.model_copy(update={"batch": batch, "accumulate": accumulate})
    with pytest.raises(UserError, match=f"too small for batch={batch}; resume with {advice},"):
        fit(Greedy(), tmp_path / "run", options, quiet=True)


def test_other_errors_stay_bugs(tmp_path: Path) -> None:
    class Broken(Invert):
        def loss(self, modules: Any, batch: Any) -> Any:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        fit(Broken(), tmp_path / "run", QUICK, quiet=True)


def test_the_newest_and_the_best_checkpoints_are_kept(tmp_path: Path) -> None:
    class Worsening(Invert):
        def scores(self, modules: Any) -> dict[str, float]:
            self.calls = getattr(self, "calls", 0) + 1
            return {"l1": 0.1 if self.calls == 2 else 1.0}

    options = QUICK.model_copy(update={"save_every": 16, "keep": 2, "best": "l1"})
    fit(Worsening(), tmp_path / "run", options, quiet=True)
    names = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["000000032", "000000080", "000000096"]


def test_mirrors_are_off_and_a_missing_one_is_named(tmp_path: Path) -> None:
    fit(Invert(), tmp_path / "plain", QUICK, quiet=True)
    assert not (tmp_path / "plain" / "tensorboard").exists()
    fit(Invert(), tmp_path / "board", QUICK.model_copy(update={"mirrors": ("tensorboard",)}), quiet=True)
    assert list((tmp_path / "board" / "tensorboard").glob("events*"))
    try:
        import wandb  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="wandb is not installed"):
            fit(Invert(), tmp_path / "wandb", QUICK.model_copy(update={"mirrors": ("wandb",)}), quiet=True)


def test_a_dry_run_measures_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sketchprep.training import budget

    monkeypatch.setattr(budget, "SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    cost = dry_run(Invert(), QUICK)
    assert cost.images == 96
    assert cost.images_per_second > 0
    assert 0 <= cost.waiting <= 1
    assert "96 images in" in cost.text
    assert not list(tmp_path.iterdir())


def test_a_time_budget_becomes_images_and_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sketchprep.training import budget

    cost = budget.Cost(images_per_second=1.0, waiting=0, peak_memory=0, images=10_000)
    monkeypatch.setattr(budget, "measure", lambda *_: cost)
    options = Options.model_validate(QUICK.model_dump() | {"images": 10_000, "max_minutes": 1.5})
    first = fit(Invert(), tmp_path / "run", options, quiet=True)
    assert 60 <= first.total <= 84
    assert first.images == first.total
    told = json.loads((tmp_path / "run" / "stats.jsonl").read_text().splitlines()[-1])
    assert told["lr"] < 1e-4  # the cosine ended with the budget
    shutil.rmtree(sorted((tmp_path / "run" / "checkpoints").iterdir())[-1])
    monkeypatch.setattr(budget, "measure", lambda *_: pytest.fail("measured again"))
    assert fit(Invert(), tmp_path / "run", options, quiet=True).total == first.total
    with pytest.raises(UserError, match=r"max_minutes: 1\.5 → null"):
        fit(Invert(), tmp_path / "run", options.model_copy(update={"max_minutes": None}), quiet=True)


def test_a_command_that_failed_at_its_start_can_be_corrected(run: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(UserError, match=r"^init_from='"):
        fit(Invert(), new, QUICK, init_from=tmp_path / "missing", quiet=True)
    result = fit(Invert(), new, QUICK, init_from=run, quiet=True)
    assert result.images == result.total
