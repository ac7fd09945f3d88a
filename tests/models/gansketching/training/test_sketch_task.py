"""Two iterations of GANSketching in the original's mode ``style``: its losses, gradients and new weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rule_weights import fill, fill_photosketch, normal, uniform

from sketchprep.models.gansketching.stylegan2 import Architecture, Discriminator, Generator
from sketchprep.models.gansketching.training import sketch_task
from sketchprep.models.gansketching.training.settings import SketchSettings
from sketchprep.nn.photosketch import PhotoSketch

STEP = np.load(Path(__file__).parents[1] / "sketching.npz")
NET = Architecture(32, 32, 4, channel_base=256, channel_max=32)
NAMES = {"d": "D_", "g": "G_"}


class Fixed:
    """Pictures that the test gives itself."""

    def batch(self, visits: Any) -> Any:
        raise AssertionError

    def describe(self) -> dict[str, Any]:
        return {}


class Told(sketch_task.SketchTask):
    """Latents and noise by the rule, in the order of calls."""

    calls = 0

    def draws(self, count: int, device: torch.device) -> dict[str, Any]:
        call, self.calls = f"step/call{self.calls}/", self.calls + 1
        noise = [normal(f"{call}noise{j}", (4, 1, side, side)) for j, side in enumerate(NET.noise_sizes)]
        drawn = {"z": normal(f"{call}z0", (4, 32)), "noise": noise}
        return drawn if self.calls % 2 == 0 else {**drawn, "second": normal(f"{call}z1", (4, 32)), "crossover": 3}


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Told:
    shifts = iter(range(100))
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.from_numpy(STEP[f"step_randint{next(shifts)}"]))
    monkeypatch.setattr(sketch_task, "from_pixels", torch.clone)
    settings = SketchSettings(drawer="photosketch", fill=0.0)
    drawer = fill_photosketch(PhotoSketch(8), "PS8/").normalise_by_batch()
    return Told(settings, fill(Generator(NET), "G/"), fill(Discriminator(NET), "D/"), drawer, Fixed(), Fixed())


def test_two_iterations_are_the_originals(task: Told) -> None:
    modules, phases = task.modules(), task.phases()
    trained = {name: [p for p in net.parameters() if p.requires_grad] for name, net in modules.items()}
    optimisers: dict[str, Any] = {}
    for phase in phases:
        shared = phase.optimiser if isinstance(phase.optimiser, str) else None
        own = None if shared else phase.optimiser([p for name in phase.modules for p in trained[name]])  # type: ignore[operator]
        optimisers[phase.name] = optimisers[shared] if shared else own
    for iteration in range(2):
        sketch = torch.where(uniform(f"step/sketch{iteration}", (4, 1, 32, 32)) > 0.8, -1.0, 1.0)
        batch = {"sketch": sketch, "photo": uniform(f"step/image{iteration}", (4, 3, 32, 32))}
        for phase in phases:
            if iteration % phase.every:
                continue
            for name, parameters in trained.items():
                for parameter in parameters:
                    parameter.requires_grad_(name in phase.modules)
                    parameter.grad = None
            found = phase.loss(modules, batch)
            sum(phase.weights.get(name, 1.0) * value for name, value in found.items()).backward()  # type: ignore[union-attr]
            for name, value in found.items():
                if phase.name in NAMES:
                    expected = STEP[f"step_it{iteration}|{NAMES[phase.name]}{name}"]
                    weight = 0.7 if name.endswith("image") else 1
                    assert weight * float(value.detach()) == pytest.approx(float(expected), abs=1e-5)
            tag, net = {
                "d": ("gradDs", "sketch_critic"),
                "r1": ("gradR1s", "sketch_critic"),
                "g": ("gradG", "generator"),
            }[phase.name]
            compared = compare(f"step_it{iteration}|{tag}|", dict(modules[net].named_parameters()), gradient=True)
            assert compared or (tag, iteration) == ("gradDs", 1)
            optimisers[phase.name].step()
        assert compare(f"step_it{iteration}|newG|", dict(modules["generator"].named_parameters()))
        assert compare(f"step_it{iteration}|newDs|", dict(modules["sketch_critic"].named_parameters()))
        for short, net in (("Ds", "sketch_critic"), ("Di", "image_critic"), ("G", "generator")):
            total = sum(float(p.detach().double().abs().sum()) for p in modules[net].parameters())
            assert total == pytest.approx(float(STEP[f"step_it{iteration}|absum_{short}"]), abs=1e-3)


def compare(prefix: str, parameters: dict[str, torch.nn.Parameter], *, gradient: bool = False) -> int:
    """Compare what is stored under a prefix; return how much that was."""
    keys = [key for key in STEP.files if key.startswith(prefix)]
    for key in keys:
        parameter, expected = parameters[key.rpartition("|")[2]], STEP[key]
        if not expected.size:  # the penalty does not reach the last bias
            assert parameter.grad is None
            continue
        value = parameter.grad if gradient else parameter.detach()
        assert value is not None
        scale = max(float(np.abs(expected).max()), 1e-9)
        assert np.abs(value.numpy() - expected).max() / scale < 1e-4, key
    return len(keys)


def test_what_is_trained_is_what_was_asked_for(task: Told) -> None:
    def trained(part: str, net: Architecture) -> list[str]:
        settings = SketchSettings(trained=part, image=0)  # type: ignore[arg-type]
        made = sketch_task.SketchTask(settings, Generator(net), Discriminator(NET), PhotoSketch(8), Fixed())
        modules = made.modules()
        assert "image_critic" not in modules
        return [name for name, p in modules["generator"].named_parameters() if p.requires_grad]

    assert all(name.startswith("style.") for name in trained("mapping", NET))
    assert len(trained("mapping", NET)) == 8
    shifted = Architecture(32, 32, 4, channel_base=256, channel_max=32, w_shift=True)
    assert trained("w_shift", shifted) == ["style.5.w_shift"]
    assert len(trained("all", NET)) == len(list(Generator(NET).parameters()))
