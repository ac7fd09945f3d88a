"""Small tasks that the tests of the training loop train in moments.  Run as a script, it trains one of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.training.options import Options
from sketchprep.training.task import Phase, Task

SIDE = 12
QUICK = Options(
    images=96, batch=4, precision="float32", device="cpu", stats_every=16, samples_every=48, save_every=32, keep=9
)


class Invert(Task):
    """Learns 1 - x; with BatchNorm and dropout, so that buffers and random numbers matter."""

    name = "invert"
    averaged = ("net",)

    def __init__(self, *, norm: bool = True, width: int = 4, lr: float = 1e-2) -> None:
        self.norm, self.width, self.lr = norm, width, lr

    def modules(self) -> dict[str, nn.Module]:
        inner = [nn.BatchNorm2d(self.width), nn.Dropout(0.1)] if self.norm else []
        layers = [nn.Conv2d(1, self.width, 3, padding=1), *inner, nn.GELU(), nn.Conv2d(self.width, 1, 3, padding=1)]
        return {"net": nn.Sequential(*layers)}

    def phases(self) -> list[Phase]:
        return [Phase("net", ("net",), self.loss, lambda p: torch.optim.AdamW(p, self.lr), {"l2": 1.0, "watched": 0.0})]

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        return {"x": np.stack([np.random.default_rng([7, v]).random((1, SIDE, SIDE), np.float32) for v in visits])}

    def loss(self, modules: Mapping[str, nn.Module], batch: dict[str, Any]) -> dict[str, Tensor]:
        y = modules["net"](batch["x"])
        return {"l2": F.mse_loss(y, 1 - batch["x"]), "watched": 100 + y.mean()}

    def describe(self) -> dict[str, Any]:
        return {"norm": self.norm, "width": self.width, "lr": self.lr}

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray:
        y = modules["net"](torch.from_numpy(self.batch(range(2))["x"]))
        return (y.clamp(0, 1) * 255).byte().numpy().reshape(-1, SIDE)

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        x = torch.from_numpy(self.batch(range(10_000, 10_008))["x"])
        return {"l1": float((modules["net"](x) - (1 - x)).abs().mean())}


class Poisoned(Invert):
    """One picture of the data is no number."""

    name = "poisoned"
    visit = 58

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        batch = super().batch(visits)
        if self.visit in visits:
            batch["x"][list(visits).index(self.visit), 0, 0, 0] = np.nan
        return batch


class Slow(Invert):
    """Leaves time for a signal."""

    name = "slow"

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        time.sleep(0.05)
        return super().batch(visits)


class Rival(Task):
    """A generator, a discriminator with a lazy penalty, and a frozen network that gradients pass through."""

    name = "rival"
    averaged = ("G",)

    def modules(self) -> dict[str, nn.Module]:
        return {
            "G": nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 4)),
            "D": nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)),
            "features": nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)),
        }

    def phases(self) -> list[Phase]:
        return [
            Phase("G", ("G",), self.generate, lambda p: torch.optim.Adam(p, 1e-2), {"features": 10.0}),
            Phase("D", ("D",), self.discriminate, lambda p: torch.optim.Adam(p, 1e-3)),
            Phase("R1", ("D",), self.penalise, "D", {"penalty": 4.0}, every=4),
        ]

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        drawn = np.stack([np.random.default_rng([9, v]).standard_normal((2, 4), np.float32) for v in visits])
        return {"z": drawn[:, 0], "real": drawn[:, 1] * 0.1 + 1}

    def generate(self, modules: Mapping[str, nn.Module], batch: dict[str, Any]) -> dict[str, Tensor]:
        fake = modules["G"](batch["z"])
        batch["fake"] = fake.detach()
        near = F.l1_loss(modules["features"](fake), modules["features"](batch["real"]))
        return {"gan": F.softplus(-modules["D"](fake)).mean(), "features": near}

    def discriminate(self, modules: Mapping[str, nn.Module], batch: dict[str, Any]) -> dict[str, Tensor]:
        fake, real = modules["D"](batch["fake"]), modules["D"](batch["real"])
        return {"fake": F.softplus(fake).mean(), "real": F.softplus(-real).mean()}

    def penalise(self, modules: Mapping[str, nn.Module], batch: dict[str, Any]) -> dict[str, Tensor]:
        real = batch["real"].detach().requires_grad_()
        (slope,) = torch.autograd.grad(modules["D"](real).sum(), real, create_graph=True)
        return {"penalty": slope.square().sum(1).mean()}

    def describe(self) -> dict[str, Any]:
        return {}


TASKS = {kind.name: kind for kind in (Invert, Poisoned, Slow, Rival)}


def main() -> None:
    """``toy_tasks.py TASK RUN [fits=N] [key=value …]``: train N times and leave with the last result's exit code."""
    import yaml

    from sketchprep.training.devices import leave_together
    from sketchprep.training.loop import fit

    changes = {key: yaml.safe_load(value) for key, value in (text.split("=") for text in sys.argv[3:])}
    bare = {"norm": False} if changes.pop("bare", False) and sys.argv[1] != "rival" else {}
    fits = changes.pop("fits", 1)
    options = Options.model_validate({**QUICK.model_dump(), **changes})
    for _ in range(fits):
        result = fit(TASKS[sys.argv[1]](**bare), Path(sys.argv[2]), options)
        print(f"{result.exit_code}: {result.text}", flush=True)
    leave_together()
    sys.exit(result.exit_code)


if __name__ == "__main__":
    main()
