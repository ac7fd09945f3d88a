"""What a step does: accumulation, averages, phases, schedule."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from toy_tasks import QUICK, Invert, Rival

from sketchprep.training.data_loader import BatchLoader
from sketchprep.training.ema import Average
from sketchprep.training.loop import fit
from sketchprep.training.options import Options, Schedule, due, factor
from sketchprep.training.state import checksum
from sketchprep.training.task import Task


def final(run: Path, part: str) -> dict[str, Tensor]:
    return load_file(sorted((run / "checkpoints").iterdir())[-1] / f"{part}.safetensors")


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


def test_two_accumulated_batches_equal_one_of_twice_the_size(tmp_path: Path) -> None:
    for batch, accumulate in ((8, 1), (4, 2), (2, 4)):
        options = QUICK.model_copy(update={"batch": batch, "accumulate": accumulate, "clip": 0.5})
        fit(Invert(norm=False), tmp_path / str(accumulate), options, quiet=True)
    whole = final(tmp_path / "1", "net")
    start = Invert(norm=False)
    torch.manual_seed(0)
    assert (whole["0.weight"] - start.modules()["net"].state_dict()["0.weight"]).abs().max() > 1e-2
    for pieces in ("2", "4"):
        assert all((whole[k] - v).abs().max() < 1e-5 for k, v in final(tmp_path / pieces, "net").items())
        for a, b in zip(lines(tmp_path / "1"), lines(tmp_path / pieces), strict=True):
            assert a["images"] == b["images"]
            assert a["net.l2"] == pytest.approx(b["net.l2"], rel=1e-4)


def test_the_pictures_of_a_step_are_dealt_out_to_processes_and_batches() -> None:
    def visits(rank: int, processes: int, accumulate: int) -> list[list[int]]:
        loader = BatchLoader(
            lambda v: {"v": np.array(v)}, 40, batch=2, accumulate=accumulate, rank=rank, processes=processes
        )
        with loader:
            return [[int(n) for batch in loader.step() for n in batch["v"]] for _ in range(2)]

    assert visits(0, 1, 2) == [[40, 41, 42, 43], [44, 45, 46, 47]]
    assert (visits(0, 2, 1), visits(1, 2, 1)) == ([[40, 41], [44, 45]], [[42, 43], [46, 47]])


def test_averages_follow_parameters_and_buffers() -> None:
    net = nn.BatchNorm1d(2)
    average = Average({"net": net}, ["net"], half_life=8.0)
    with torch.no_grad():
        net.weight.fill_(3.0)
        net.running_mean.fill_(2.0)  # type: ignore[union-attr]
        net.num_batches_tracked.fill_(5)  # type: ignore[union-attr]
    average.update(images=1000, step=8)
    kept = average.modules["net"]
    assert torch.allclose(kept.weight, torch.tensor(2.0))  # half of the way from 1 to 3
    assert torch.allclose(kept.running_mean, torch.tensor(1.0))  # type: ignore[arg-type]
    assert kept.num_batches_tracked == 5
    assert not kept.training
    assert not kept.weight.requires_grad
    average.update(images=1000, step=8)
    assert torch.allclose(kept.weight, torch.tensor(2.5))


def test_the_average_lies_between_the_first_and_the_last_weights(tmp_path: Path) -> None:
    fit(Invert(), tmp_path / "run", QUICK, quiet=True)
    net, mean = final(tmp_path / "run", "net"), final(tmp_path / "run", "net.ema")
    assert net.keys() == mean.keys()
    assert (net["1.running_mean"] - mean["1.running_mean"]).abs().max() > 0
    assert mean["1.running_mean"].abs().max() > 0
    assert net["1.num_batches_tracked"] == mean["1.num_batches_tracked"] == 24


def test_two_optimisers_count_images_once_and_leave_frozen_modules_alone(tmp_path: Path) -> None:
    calls: dict[str, int] = {}

    class Counted(Rival):
        def phases(self) -> list[Any]:
            import dataclasses

            def counted(phase: Any) -> Any:
                def loss(modules: Any, batch: Any) -> Any:
                    calls[phase.name] = calls.get(phase.name, 0) + 1
                    trained = {n for n, m in modules.items() if any(p.requires_grad for p in m.parameters())}
                    assert trained == set(phase.modules)
                    assert not modules["features"].training
                    return phase.loss(modules, batch)

                return dataclasses.replace(phase, loss=loss)

            return [counted(phase) for phase in super().phases()]

    result = fit(Counted(), tmp_path / "run", QUICK, quiet=True)
    assert result.images == 96
    assert calls == {"G": 24, "D": 24, "R1": 6}
    assert [line["images"] for line in lines(tmp_path / "run")] == [16, 32, 48, 64, 80, 96]
    told = lines(tmp_path / "run")[0]
    assert told["G.total"] == pytest.approx(told["G.gan"] + 10 * told["G.features"], rel=1e-4)
    assert told["R1.total"] == pytest.approx(4 * told["R1.penalty"], rel=1e-4)
    names = {path.name for path in (tmp_path / "run" / "checkpoints" / "000000096").iterdir()}
    assert names == {
        "G.safetensors", "G.ema.safetensors", "D.safetensors", "G.optimiser.pt", "D.optimiser.pt", "state.json",
    }  # fmt: skip


def test_a_frozen_module_keeps_its_checksum() -> None:
    from sketchprep.training import devices
    from sketchprep.training.state import State, step

    options = devices.resolve(QUICK)
    fabric = devices.launch(options)
    state = State(Rival(), options, fabric)
    before = {name: checksum(module) for name, module in state.modules.items()}
    batch = {name: torch.from_numpy(value) for name, value in Rival().batch(range(4)).items()}
    step(fabric, state, state.phases[0], [batch])
    after = {name: checksum(module) for name, module in state.modules.items()}
    assert {name for name in before if before[name] != after[name]} == {"G"}


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_the_schedule_rises_holds_and_falls_to_its_end(kind: Any) -> None:
    schedule = Schedule(kind=kind, warm_up=100, hold=0.5, end=0.1)
    values = [factor(schedule, at, 1000) for at in range(0, 1001, 4)]
    assert values[0] == 0
    assert values[25] == pytest.approx(1.0)
    assert values[12] == pytest.approx(0.48)
    if kind == "constant":
        assert set(values[25:]) == {1.0}
    else:
        assert values[-1] == pytest.approx(0.1)
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(values[25:]))
        middle = factor(schedule, 550, 1000)
        assert middle == pytest.approx(0.55 if kind == "cosine" else 0.91)
    assert factor(schedule, 5000, 1000) == values[-1]


def test_the_learning_rate_in_the_statistics_is_the_schedules(tmp_path: Path) -> None:
    options = QUICK.model_copy(update={"schedule": Schedule(warm_up=16), "stats_every": 4})
    fit(Invert(lr=0.01), tmp_path / "run", options, quiet=True)
    rates = [line["lr"] for line in lines(tmp_path / "run")]
    assert rates[:4] == pytest.approx([0.00125, 0.00375, 0.00625, 0.00875])
    assert max(rates) < 0.01
    assert rates[-1] == pytest.approx(0.005 * (1 + math.cos(math.pi * 78 / 80)))


def test_intervals_need_not_divide_the_step() -> None:
    assert [images for images in range(6, 61, 6) if due(20, images, 6)] == [24, 42, 60]


def test_training_learns_and_draws_it(tmp_path: Path) -> None:
    options = Options(
        images=3200, batch=16, precision="float32", device="cpu", stats_every=320, samples_every=1600, save_every=1600
    )
    fit(Invert(norm=False), tmp_path / "run", options, quiet=True)
    told = lines(tmp_path / "run")
    assert told[-1]["net.l2"] < 0.1 * told[0]["net.l2"]
    assert told[-1]["score.l1"] < 0.1
    assert [p.name for p in sorted((tmp_path / "run" / "samples").iterdir())] == [
        "000000000.jpg", "000001600.jpg", "000003200.jpg",
    ]  # fmt: skip


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="bfloat16 convolutions come from oneDNN")
def test_mixed_precision_keeps_float32_weights_and_learns_the_same(tmp_path: Path) -> None:
    task: Task = Invert(norm=False)
    for precision in ("float32", "bfloat16"):
        fit(task, tmp_path / precision, QUICK.model_copy(update={"precision": precision}), quiet=True)
    full, mixed = final(tmp_path / "float32", "net"), final(tmp_path / "bfloat16", "net")
    assert {v.dtype for v in mixed.values()} == {torch.float32}
    assert not torch.equal(full["0.weight"], mixed["0.weight"])
    assert all((full[k] - v).abs().max() < 0.05 for k, v in mixed.items())
