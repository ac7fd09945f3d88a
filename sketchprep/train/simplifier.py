"""Training of the sketch simplifier: rough drawings and photocopies to clean lines, on pairs made on the fly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sketchprep.train import presets
from sketchprep.train.phases import Batch, Phase, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.train.budget import Cost
    from sketchprep.train.loop import Result
    from sketchprep.train.pairs import PairSampler

__all__ = ["Settings", "SimplifierTask", "losses", "train_simplifier"]

# Visit numbers that no training reaches: pairs for the sample grid and for the scores.
GRID, HELD_OUT = range(1 << 40, (1 << 40) + 6), range(1 << 41, (1 << 41) + 48)
SCORE_BATCH = 8


class Settings(BaseModel):
    """What decides the simplifier besides the loop's options.

    Attributes
    ----------
    width : int
        Channels of the network at full resolution; 16 gives 0.875 million weights.
    size : int
        Side of the training pictures in pixels.
    lr : float
        Peak learning rate of AdamW.
    bce, dice, l1 : float
        Weights of the losses, see `losses`.
    ink_weight : float
        How much more a pixel of ink counts than one of paper.
    mix : dict of str to float
        Shares of the kinds of pairs, see `sketchprep.train.pairs.Mix`; 0 leaves a kind out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    width: int = Field(default=16, ge=4, le=128)
    size: int = Field(default=256, ge=32, multiple_of=8)
    lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    bce: float = Field(default=1.0, ge=0)
    dice: float = Field(default=0.5, ge=0)
    l1: float = Field(default=0.5, ge=0)
    ink_weight: float = Field(default=4.0, ge=1)
    mix: dict[str, float] = Field(default_factory=dict)


class SimplifierTask(Task):
    """One network, one phase.

    Parameters
    ----------
    settings : Settings
    seed : int
        Of the pairs.
    photos : Path, optional
        Folder of portraits for teacher pairs; default the bundled ones.
    cache : Path, optional
        Where the lines of the portraits are kept once they are drawn.
    """

    name = "simplifier"
    averaged = ("net",)

    def __init__(
        self, settings: Settings, *, seed: int = 0, photos: Path | None = None, cache: Path | None = None
    ) -> None:
        self.settings, self.seed, self.photos, self.cache = settings, seed, photos, cache

    def __getstate__(self) -> dict[str, Any]:
        # Every process opens the pairs for itself.
        return {key: value for key, value in self.__dict__.items() if key != "pairs"}

    @cached_property
    def pairs(self) -> PairSampler:
        """The pairs, opened on first use."""
        from sketchprep.train.pairs import Mix, PairSampler

        return PairSampler(self.seed, size=self.settings.size, mix=Mix(**self.settings.mix), photos=self.photos)

    def modules(self) -> dict[str, nn.Module]:
        from sketchprep.models.simplifier import Simplifier

        return {"net": Simplifier(self.settings.width)}

    def phases(self) -> list[Phase]:
        import torch

        weights = {"bce": self.settings.bce, "dice": self.settings.dice, "l1": self.settings.l1}
        adamw = partial(torch.optim.AdamW, lr=self.settings.lr, weight_decay=self.settings.weight_decay)
        return [Phase("net", ("net",), self.loss, adamw, weights)]

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        made = [self.pairs.pair(visit) for visit in visits]
        ones = np.ones((self.settings.size, self.settings.size), np.float32)
        return {
            "rough": np.stack([rough for rough, _, _ in made])[:, None],
            "clean": np.stack([clean for _, clean, _ in made])[:, None],
            "weight": np.stack([ones if weight is None else weight for _, _, weight in made])[:, None],
        }

    def loss(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch, see `losses`."""
        ink = 1 - batch["clean"].float() / 255
        return losses(modules["net"](batch["rough"].float() / 255), ink, batch["weight"], self.settings.ink_weight)

    def describe(self) -> dict[str, Any]:
        return {**self.settings.model_dump(mode="json"), "pairs": self.pairs.describe()}

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray:
        from sketchprep.models.simplifier import simplify
        from sketchprep.preview import contact_sheet

        batch = self.batch(GRID)
        drawn = simplify(modules["net"], batch["rough"][:, 0])  # type: ignore[arg-type]
        rows = list(zip(batch["rough"][:, 0], drawn, batch["clean"][:, 0], strict=True))
        return contact_sheet(rows, ["rough", "simplified", "clean"], tile=self.settings.size)

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        import torch

        sums: dict[str, float] = {}
        device = next(modules["net"].parameters()).device
        for first in range(0, len(HELD_OUT), SCORE_BATCH):
            visits = HELD_OUT[first : first + SCORE_BATCH]
            batch = {k: torch.from_numpy(v).to(device) for k, v in self.batch(visits).items()}
            for name, value in self.loss(modules, batch).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(visits) / len(HELD_OUT)
        weights = self.phases()[0].weights
        return {**sums, "total": sum(weights[name] * value for name, value in sums.items())}


def losses(logits: Tensor, ink: Tensor, weight: Tensor, ink_weight: float) -> dict[str, Tensor]:
    """Three views of the difference between a drawing and the clean one, each a mean over the pictures of a batch.

    Parameters
    ----------
    logits : Tensor of float, shape (B, 1, H, W)
        Of ink.
    ink : Tensor of float, shape (B, 1, H, W)
        The clean drawing, 0 (paper) to 1 (ink), soft at the edges of lines.
    weight : Tensor of float, shape (B, 1, H, W)
        How much a pixel counts; 0 where the teacher does not know.
    ink_weight : float
        Further factor on ink.

    Returns
    -------
    dict
        ``bce``, the cross entropy, and ``l1``, the absolute difference, as weighted means over a picture's pixels;
        ``dice``: 1 - 2 Σpt / Σ(p² + t²), in which blank paper does not count (Milletari et al., V-Net, 2016: with
        squares the optimum for a soft target is the target).
    """
    import torch
    from torch.nn import functional as F

    logits, axes = logits.float(), (1, 2, 3)
    p, w = torch.sigmoid(logits), weight * (1 + (ink_weight - 1) * ink)
    area = w.sum(axes).clamp_min(1e-6)
    bce = (w * F.binary_cross_entropy_with_logits(logits, ink, reduction="none")).sum(axes) / area
    l1 = (w * (p - ink).abs()).sum(axes) / area
    # One pixel in both sums makes blank drawings well defined.
    dice = 1 - (2 * (weight * p * ink).sum(axes) + 1) / ((weight * (p * p + ink * ink)).sum(axes) + 1)
    return {"bce": bce.mean(), "dice": dice.mean(), "l1": l1.mean()}


def train_simplifier(
    run: str | Path,
    *,
    preset: str = "cpu",
    photos: str | Path | None = None,
    cache: str | Path | None = None,
    overrides: Iterable[str] = (),
    max_minutes: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    dry_run: bool = False,
    init_from: str | Path | None = None,
    quiet: bool = False,
) -> Result | Cost:
    """Train the simplifier; the same call again goes on where an earlier one stopped.

    Parameters
    ----------
    run : path
        The run's folder.  A finished run leaves ``simplifier.safetensors`` and its card there, see
        `sketchprep.train.weights.export_weights`.
    preset : str
        Of ``pipelines/simplifier.yaml``.
    photos, cache : path, optional
        See `SimplifierTask`.
    overrides : iterable of str
        ``key=value`` changes to the preset, for instance ``"mix.teacher=0"``.
    max_minutes : float, optional
        See `sketchprep.train.options.Options`.
    seed : int, optional
        Of weights and pairs.
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dry_run : bool
        Only measure a few steps.
    init_from : path, optional
        Run or checkpoint with the weights to begin with.
    quiet : bool
        No bar.

    Returns
    -------
    Result or Cost
        Both have a `text`; a result has an `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments, and as `sketchprep.train.loop.fit`.
    """
    options, settings = presets.load(
        "simplifier", preset, Settings, overrides, max_minutes=max_minutes, seed=seed, device=device
    )
    task = SimplifierTask(
        settings,
        seed=options.seed,
        photos=Path(photos) if photos else None,
        cache=Path(cache) if cache else None,
    )
    if dry_run:
        from sketchprep.train import budget

        return budget.dry_run(task, options)
    from sketchprep.train.loop import fit
    from sketchprep.train.weights import export_weights

    result = fit(task, run, options, init_from=init_from, quiet=quiet)
    if not result.stopped_by:
        export_weights(result.run)
    return result
