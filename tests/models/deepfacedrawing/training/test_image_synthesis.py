"""Stage 2: who is trained when, what stays frozen, and that interruption and processes change nothing."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_faces import write_faces
from safetensors.torch import load_file, save_file
from small_stages import QUICK, SMALL, small_task, write_encoders

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.networks.modules import ImageDecoder
from sketchprep.models.deepfacedrawing.training.image_synthesis import FmIsTask
from sketchprep.models.deepfacedrawing.training.settings import Settings
from sketchprep.models.deepfacedrawing.training.stage1_weights import DECODERS
from sketchprep.training import checkpoint, devices
from sketchprep.training.loop import fit
from sketchprep.training.state import State, checksum, step

SCRIPT = Path(__file__).resolve().parents[3] / "helpers" / "small_stages.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces") / "data")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoders(tmp_path_factory.mktemp("ce") / "encoders.safetensors", Settings.model_validate(SMALL))


def task_of(data: Path, encoders: Path, **values: Any) -> FmIsTask:
    task = small_task("fm-is", data, encoders, **values)
    assert isinstance(task, FmIsTask)
    return task


def begun(task: FmIsTask) -> tuple[Any, State, dict[str, Any]]:
    options = devices.resolve(QUICK)
    fabric = devices.launch(options)
    batch = {name: torch.from_numpy(array) for name, array in task.batch(range(4)).items()}
    return fabric, State(task, options, fabric), batch


def final(run: Path) -> Path:
    return sorted((run / "checkpoints").iterdir())[-1]


@pytest.mark.parametrize("condition", ["sketch", "features"])
@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_each_phase_moves_its_own_networks_alone(data: Path, encoders: Path, condition: str, flip: float) -> None:
    task = task_of(data, encoders, condition=condition, augment={"flip": flip})
    fabric, state, batch = begun(task)
    nets = {name: state.modules[name] for name in ("generator", "discriminator")}
    for phase, own in zip(state.phases, nets, strict=True):
        before = {name: checksum(module) for name, module in state.modules.items()}
        for net in nets.values():
            net.zero_grad(set_to_none=True)
        losses = step(fabric, state, phase, [batch])
        assert {name for name in before if checksum(state.modules[name]) != before[name]} == {own}
        for name, net in nets.items():
            gradients = [parameter.grad for parameter in net.parameters()]
            assert all((g is not None and bool(g.isfinite().all())) == (name == own) for g in gradients)
        assert all(parameter.grad is None for parameter in state.modules["encoders"].parameters())
        assert all(value.isfinite() for value in losses.values())
    seen = 4 if condition == "sketch" else 3 + SMALL["fm_channels"]
    assert batch["fake"].shape == batch["real"].shape == (4, seen, 64, 64)
    assert not batch["fake"].requires_grad


def test_the_discriminators_loss_is_half_of_each_side_as_two_passes_would_give(data: Path, encoders: Path) -> None:
    fabric, state, batch = begun(task_of(data, encoders))
    step(fabric, state, state.phases[0], [batch])
    net = state.modules["discriminator"]
    with torch.no_grad():
        fake = sum(float(scale[-1].square().mean()) for scale in net(batch["fake"]))
        real = sum(float((scale[-1] - 1).square().mean()) for scale in net(batch["real"]))
    losses = step(fabric, state, state.phases[1], [batch])
    assert losses["d.fake"].item() == pytest.approx(fake, rel=1e-4)
    assert losses["d.real"].item() == pytest.approx(real, rel=1e-4)
    assert losses["d.total"].item() == pytest.approx((fake + real) / 2, rel=1e-4)


def test_the_generators_total_is_its_weighted_sum(data: Path, encoders: Path) -> None:
    weights = {"gan": 2.0, "feature_matching": 3.0, "l1": 5.0, "perceptual": 7.0}
    fabric, state, batch = begun(task_of(data, encoders, **weights, perceptual_size=32, perceptual_layers=[1, 2]))
    losses = step(fabric, state, state.phases[0], [batch])
    expected = sum(weight * losses[f"g.{name}"].item() for name, weight in weights.items())
    assert losses["g.total"].item() == pytest.approx(expected, rel=1e-4)
    assert all(losses[f"g.{name}"] > 0 for name in weights)


def test_the_perceptual_loss_looks_at_a_place_that_belongs_to_the_visit(data: Path, encoders: Path) -> None:
    task = task_of(data, encoders, perceptual=1.0, perceptual_size=48)
    corners = task.batch(range(40))["corners"]
    assert corners.shape == (40, 2)
    assert corners.min() == 0
    assert corners.max() == 16
    assert np.array_equal(pickle.loads(pickle.dumps(task)).batch([7, 30])["corners"], corners[[7, 30]])
    for size in (0, 64, 128):
        assert "corners" not in task_of(data, encoders, perceptual=1.0, perceptual_size=size).batch([0])
    with pytest.raises(UserError, match="perceptual_size=16 is too small"):
        task_of(data, encoders, perceptual=1.0, perceptual_size=16)


def test_the_encoders_are_bit_identical_and_in_eval_mode_after_training(
    tmp_path: Path, data: Path, encoders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sketchprep.training import loop

    states: list[State] = []

    def watched(fabric: Any, state: State, *rest: Any, **words: Any) -> Any:
        states.append(state)
        assert not any(module.training for module in state.modules["encoders"].modules())
        return step(fabric, state, *rest, **words)

    monkeypatch.setattr(loop, "take_step", watched)
    fit(task_of(data, encoders), tmp_path / "run", QUICK, quiet=True)
    frozen = states[-1].modules["encoders"]
    assert len(states) == 24
    assert not any(module.training for module in frozen.modules())
    wanted = load_file(encoders)
    assert any("running_mean" in key and value.abs().max() > 0 for key, value in wanted.items())
    assert frozen.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[key]) for key, value in frozen.state_dict().items())
    assert not [path for path in final(tmp_path / "run").iterdir() if path.name.startswith(("encoders", "perceptual"))]


@pytest.mark.parametrize("fault", ["training mode", "a weight"])
def test_encoders_that_move_end_the_run_before_anything_is_saved(
    tmp_path: Path, data: Path, encoders: Path, fault: str
) -> None:
    class Careless(FmIsTask):
        def generate(self, modules: Any, batch: Any) -> Any:
            frozen = modules["encoders"].module
            if fault == "training mode":
                frozen.train()  # BatchNorm's running statistics follow the batches then
            else:
                next(frozen.parameters()).data[0] += 1e-6
            return super().generate(modules, batch)

    sound = task_of(data, encoders)
    task = Careless(sound.settings, sound.faces, encoders)
    with pytest.raises(RuntimeError, match=r"encoders .* moved"):
        fit(task, tmp_path / "run", QUICK, quiet=True)
    assert checkpoint.load_latest(tmp_path / "run") is None


@pytest.mark.parametrize("condition", ["sketch", "features"])
def test_going_on_from_a_checkpoint_gives_the_same_bits(
    tmp_path: Path, data: Path, encoders: Path, condition: str
) -> None:
    task = task_of(
        data, encoders, condition=condition, augment={"flip": 0.5, "erase_part": 0.3}, perceptual=1.0,
        perceptual_size=32, perceptual_layers=[1, 2],
    )  # fmt: skip
    fit(task, tmp_path / "whole", QUICK, quiet=True)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for images in ("000000048", "000000032"):  # as if it had been killed after the first checkpoint
        shutil.rmtree(tmp_path / "cut" / "checkpoints" / images)
    assert fit(pickle.loads(pickle.dumps(task)), tmp_path / "cut", QUICK, quiet=True).images == 48
    parts = {path.name: path.read_bytes() for path in final(tmp_path / "whole").iterdir()}
    assert parts.keys() == {
        "generator.safetensors", "generator.ema.safetensors", "discriminator.safetensors", "g.optimiser.pt",
        "d.optimiser.pt", "state.json",
    }  # fmt: skip
    assert {path.name: path.read_bytes() for path in final(tmp_path / "cut").iterdir()} == parts


@pytest.mark.integration
@pytest.mark.parametrize("stage", ["ce", "fm-is"])
def test_two_processes_equal_one_with_two_accumulated_batches(
    tmp_path: Path, data: Path, encoders: Path, stage: str
) -> None:
    more = ["perceptual=1", "perceptual_size=32", "perceptual_layers=[1,2]"] if stage == "fm-is" else []
    changes = [*more, "images=160", "save_every=160", "seed=3"]  # 20 steps
    pair = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher, accumulate in (("two", pair, 1), ("one", [], 2)):
        names = [stage, str(data), str(encoders), str(tmp_path / name)]
        command = [sys.executable, *launcher, str(SCRIPT), *names, *changes, f"accumulate={accumulate}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr[-2000:]
    # Each batch is normalised by its own statistics in both cases, so the weights agree.  BatchNorm's running buffers
    # do not: one process shows them both batches of a step, one after the other; the first of two sees only its own.
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    paths = sorted(final(tmp_path / "one").glob("*.safetensors"))
    assert len(paths) == (10 if stage == "ce" else 3)
    for path in paths:
        one, two = load_file(path), load_file(final(tmp_path / "two") / path.name)
        weights = [key for key in one if not key.endswith(buffers)]
        assert len(weights) > 4
        assert max(float((one[key] - two[key]).abs().max()) for key in weights) < 1e-5, path.name
    torch.manual_seed(3)
    for name, module in small_task(stage, data, encoders).modules().items():
        if (path := final(tmp_path / "one") / f"{name}.safetensors").exists():
            first, last = module.state_dict(), load_file(path)
            assert max(float((first[key] - last[key]).abs().max()) for key in first if "running" not in key) > 1e-3


def test_a_loss_that_is_no_number_stops_and_is_named(tmp_path: Path, data: Path, encoders: Path) -> None:
    class Poisoned(FmIsTask):
        def generate(self, modules: Any, batch: Any) -> Any:
            losses = super().generate(modules, batch)
            self.calls = getattr(self, "calls", 0) + 1
            return {**losses, "feature_matching": losses["feature_matching"] * (np.nan if self.calls == 7 else 1)}

    sound = task_of(data, encoders)
    with pytest.raises(UserError, match=r"the loss g\.feature_matching became nan in step 7 \(up to image 28\)"):
        fit(Poisoned(sound.settings, sound.faces, encoders), tmp_path / "run", QUICK, quiet=True)
    found = checkpoint.load_latest(tmp_path / "run")
    assert found is not None
    assert found.images == 16
    assert all(v.isfinite().all() for v in found.tensors("generator").values() if v.is_floating_point())


def test_other_encoders_make_another_run_and_wrong_ones_are_refused(tmp_path: Path, data: Path, encoders: Path) -> None:
    mine = tmp_path / "encoders.safetensors"
    shutil.copy(encoders, mine)
    shutil.copy(encoders.with_name(DECODERS), tmp_path)
    options = QUICK.model_copy(update={"images": 16})
    fit(task_of(data, mine), tmp_path / "run", options, quiet=True)
    tensors = load_file(mine)
    key = next(key for key in tensors if key.endswith("weight"))
    save_file({**tensors, key: tensors[key] + 0.1}, mine)
    with pytest.raises(UserError, match=r"started with other settings .*task\.encoders"):
        fit(task_of(data, mine), tmp_path / "run", options, quiet=True)
    with pytest.raises(UserError, match="belongs to another network"):
        fit(task_of(data, mine, latent=8), tmp_path / "wide", options, quiet=True)
    mine.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be read"):
        fit(task_of(data, mine), tmp_path / "damaged", options, quiet=True)
    mine.unlink()
    with pytest.raises(UserError, match=r"cannot be read .*train stage 1 first"):
        fit(task_of(data, mine), tmp_path / "missing", options, quiet=True)
    shutil.copy(encoders, mine)
    (tmp_path / DECODERS).unlink()
    with pytest.raises(UserError, match=rf"{DECODERS}: cannot be read .*train stage 1 first"):
        fit(task_of(data, mine), tmp_path / "halved", options, quiet=True)


def test_feature_decoders_begin_with_what_image_decoders_know(data: Path, encoders: Path) -> None:
    known = load_file(encoders.with_name(DECODERS))
    codes = torch.randn(2, 5, SMALL["latent"])
    for changes, as_redrawn in (({}, True), ({"fm_width": 8}, False)):
        generator = task_of(data, encoders, **changes).generator().eval()
        shape = Settings.model_validate({**SMALL, **changes}).architecture()
        for at, (part, decoder) in enumerate(generator.decoders.items()):
            image = ImageDecoder(part, shape)
            image.load_state_dict({k.split(".", 2)[2]: v for k, v in known.items() if k.startswith(f"parts.{part}.")})
            torch.testing.assert_close(decoder.code.state_dict(), image.code.state_dict(), rtol=0, atol=0)
            with torch.inference_mode():
                maps, redrawn = decoder(codes[:, at]), image.eval()(codes[:, at])
            assert torch.equal(maps[:, :1], redrawn) == as_redrawn
            assert maps[:, 1:].std() > 0
            if as_redrawn:  # the other maps are not faint beside it
                assert 0.1 < maps[:, 1:].std() / redrawn.std() < 10
    random = task_of(data, encoders, fm_start="random").generator()
    assert not torch.equal(random.decoders["nose"].code.weight, known["parts.nose.code.weight"])


def test_grid_and_scores_are_of_held_out_pairs(data: Path, encoders: Path) -> None:
    task = task_of(data, encoders)
    _, state, _ = begun(task)

    class Photo(torch.nn.Module):
        """Draws white."""

        def __init__(self) -> None:
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(()))

        def forward(self, codes: Any, flip: Any = None) -> Any:
            return self.one.expand(len(codes), 3, 64, 64), None

    with state.in_use() as modules:
        scores = task.scores({**modules, "generator": Photo()})
        picture = task.samples({**modules, "generator": Photo()})
    pairs = task.held_out.fixed(99)
    assert task.held_out.split == "test"
    assert len(pairs["photo"]) == 3
    assert scores == {"l1": pytest.approx(1 - pairs["photo"].mean() / 255, rel=1e-4)}
    tile = picture.shape[0] // 3
    assert picture.shape[1] > 3 * 64
    assert tile >= 64
    assert any(np.array_equal(picture[y : y + 64, -70:-6], pairs["photo"][0].transpose(1, 2, 0)) for y in range(64))


def test_a_run_begun_from_another_keeps_the_layers_of_its_own_image_decoders(
    data: Path, encoders: Path, tmp_path: Path
) -> None:
    other = write_encoders(tmp_path / "encoders.safetensors", Settings.model_validate(SMALL))
    path = other.with_name(DECODERS)
    save_file({key: value + 0.25 for key, value in load_file(path).items()}, path)
    fit(task_of(data, encoders, fm_train="last"), tmp_path / "first", QUICK, quiet=True)
    slow = task_of(data, other, fm_train="last", lr=1e-12)
    fit(slow, tmp_path / "second", QUICK, init_from=tmp_path / "first", quiet=True)
    first, own = load_file(final(tmp_path / "first") / "generator.ema.safetensors"), load_file(path)
    for suffix in ("", ".ema"):
        second = load_file(final(tmp_path / "second") / f"generator{suffix}.safetensors")
        kept = [key for key in second if (name := key.replace("decoders", "parts", 1)) in own
                and torch.equal(second[key], own[name])]  # fmt: skip
        assert {key.split(".")[2] for key in kept} == {"code", "body"}
        assert all(torch.allclose(first[key], value) for key, value in second.items() if key not in kept)
        assert not any(torch.equal(first[key], second[key]) for key in kept)


def test_of_frozen_feature_decoders_only_the_last_convolution_moves(data: Path, encoders: Path) -> None:
    with pytest.raises(UserError, match="fm_start=random"):
        task_of(data, encoders, fm_train="last", fm_start="random")
    with pytest.raises(UserError, match="change fm_width"):
        task_of(data, encoders, fm_train="last", fm_width=8)
    fabric, state, batch = begun(task_of(data, encoders, fm_train="last"))
    generator = state.modules["generator"]
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    for _ in range(2):
        for phase in state.phases:
            step(fabric, state, phase, [batch])
        with state.in_use() as modules:
            assert not any(module.training for module in modules["generator"].modules())
    moved = {name for name, value in generator.state_dict().items() if not torch.equal(value, before[name])}
    last = {f"decoders.{part}.{decoder.last}" for part, decoder in generator.decoders.items()}
    decoders = {name for name in moved if name.startswith("decoders.")}
    assert {name.rpartition(".")[0] for name in decoders} == last
    assert any(name.startswith("generator.") for name in moved)
