"""The simplifier's training task: one network, one phase, pairs generated on the fly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.models.simplifier.data.prepare import data_of, mix_of
from sketchprep.models.simplifier.data.sampler import PairSampler
from sketchprep.models.simplifier.losses import losses
from sketchprep.training.task import Batch, Phase, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.models.simplifier.settings import Settings

__all__ = ["SimplifierTask"]

# Held-out pairs: the first few are drawn in the sample grid, all of them give the scores.
GRID, HELD_OUT, SCORE_BATCH = 6, 48, 8


class SimplifierTask(Task):
    """One network, one phase.

    Parameters
    ----------
    settings : Settings
    seed : int
        Of the pairs.
    cache : Path, optional
        Portraits with the teacher's lines, see `sketchprep.models.simplifier.data.prepare`; the mix may do without.
    """

    name = "simplifier"
    averaged = ("net",)

    def __init__(self, settings: Settings, *, seed: int = 0, cache: Path | None = None) -> None:
        self.settings, self.cache = settings, cache
        sampler = partial(
            PairSampler,
            seed,
            size=settings.size,
            mix=mix_of(settings.mix),
            cache=cache,
            weights=settings.face_weight,
        )
        self.pairs, self.held_out = sampler(), sampler(held_out=True)

    def modules(self) -> dict[str, nn.Module]:
        from sketchprep.nn.simplifier import Simplifier

        return {"net": Simplifier(self.settings.width, self.settings.context)}

    def phases(self) -> list[Phase]:
        import torch

        weights = {"bce": self.settings.bce, "dice": self.settings.dice, "l1": self.settings.l1}
        adamw = partial(torch.optim.AdamW, lr=self.settings.lr, weight_decay=self.settings.weight_decay)
        return [Phase("net", ("net",), self.loss, adamw, weights)]

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        return _batch(self.pairs, visits)

    def loss(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch, see `losses`."""
        ink = 1 - batch["clean"].float() / 255
        return losses(modules["net"](batch["rough"].float() / 255), ink, batch["weight"], self.settings.ink_weight)

    def describe(self) -> dict[str, Any]:
        values = self.settings.model_dump(mode="json")
        return {**values, "mix": self.pairs.shares, "data": data_of(self.pairs)}

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray:
        from sketchprep.io.contact_sheet import contact_sheet
        from sketchprep.nn.simplifier import simplify

        batch = _batch(self.held_out, range(GRID))
        drawn = simplify(modules["net"], batch["rough"][:, 0])  # type: ignore[arg-type]
        rows = list(zip(batch["rough"][:, 0], drawn, batch["clean"][:, 0], strict=True))
        return contact_sheet(rows, ["rough", "simplified", "clean"], tile=self.settings.size)

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        import torch

        sums: dict[str, float] = {}
        device = next(modules["net"].parameters()).device
        for first in range(0, HELD_OUT, SCORE_BATCH):
            made = _batch(self.held_out, range(first, first + SCORE_BATCH))
            batch = {name: torch.from_numpy(array).to(device) for name, array in made.items()}
            for name, value in self.loss(modules, batch).items():
                sums[name] = sums.get(name, 0.0) + float(value) * SCORE_BATCH / HELD_OUT
        weights = self.phases()[0].weights
        return {**sums, "total": sum(weights[name] * value for name, value in sums.items())}


def _batch(pairs: PairSampler, visits: Sequence[int]) -> dict[str, np.ndarray]:
    rough, clean, weight = pairs.batch(visits)
    return {"rough": rough[:, None], "clean": clean[:, None], "weight": weight[:, None]}
