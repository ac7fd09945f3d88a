"""Training of the sketch simplifier: rough drawings and photocopies to clean lines, on pairs made on the fly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from sketchprep.core import runtime
from sketchprep.errors import UserError
from sketchprep.models.simplifier.data import PairSampler
from sketchprep.models.simplifier.data.prepare import data_of, mix_of, prepared
from sketchprep.training import devices, presets
from sketchprep.training.run_dir import check_init_from
from sketchprep.training.task import Batch, Phase, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result
    from sketchprep.training.options import Options

__all__ = ["Settings", "SimplifierTask", "draw_pairs", "losses", "train_simplifier"]

# Held-out pairs: the first few are drawn in the sample grid, all of them give the scores.
GRID, HELD_OUT, SCORE_BATCH = 6, 48, 8
SHEET = 24  # pairs on a contact sheet


class Settings(BaseModel):
    """What decides the simplifier besides the loop's options.

    Attributes
    ----------
    width : int
        Channels of the network at full resolution; 16 gives 0.875 million weights.
    context : int
        Residual convolutions in its bottleneck, which widen what it sees.
    size : int
        Side of the training pictures in pixels.
    lr : float
        Peak learning rate of AdamW.
    bce, dice, l1 : float
        Weights of the losses, see `losses`.
    ink_weight : float
        How much more a pixel of ink counts than one of paper.
    mix : str or dict of str to float
        ``"full"``, or for ablations ``"no-synthetic"`` or ``"no-teacher"``; or the share of each kind of pairs, see
        `sketchprep.models.simplifier.data.Mix`.
    face_weight : bool
        Count pixels of faces more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    width: int = Field(default=16, ge=4, le=128)
    context: int = Field(default=0, ge=0, le=24)
    size: int = Field(default=256, ge=32, multiple_of=8)
    lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    bce: float = Field(default=0.6, ge=0)
    dice: float = Field(default=0.8, ge=0)
    l1: float = Field(default=1.0, ge=0)
    ink_weight: float = Field(default=4.0, ge=1)
    mix: str | dict[str, float] = "full"
    face_weight: bool = True

    @field_validator("mix")
    @classmethod
    def _known_mix(cls, value: str | dict[str, float]) -> str | dict[str, float]:
        try:
            mix_of(value)
        except UserError as error:
            raise ValueError(str(error)) from None
        return value


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

    Notes
    -----
    Where a line's place cannot be told to a pixel, the cross entropy is least for a grey smear, the other two for ink
    wherever it is likely enough: they make decided lines.  A loss that forgives two pixels by pooling maxima was tried
    and left out: dotted lines satisfy it.
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
        `sketchprep.models.simplifier.export.export_weights`.
    preset : str
        Of ``pipelines/simplifier.yaml``.
    photos : path, optional
        Folder of portraits for the teacher; default the bundled ones.
    cache : path, optional
        Where portraits with their lines are kept; default a folder for these photos in the cache of the package.
    overrides : iterable of str
        ``key=value`` changes to the preset, for instance ``"mix=no-teacher"``.
    max_minutes : float, optional
        See `sketchprep.training.options.Options`.
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
        For any mistake in the arguments, and as `sketchprep.training.loop.fit`.
    """
    options, settings = presets.load(
        "simplifier", preset, Settings, overrides, max_minutes=max_minutes, seed=seed, device=device
    )
    devices.patient_threads()
    check_init_from(Path(run), Path(init_from) if init_from else None)  # the teacher's lines may take minutes
    task = _task(options, settings, photos, cache, quiet=quiet)
    if dry_run:
        from sketchprep.training import budget

        return budget.dry_run(task, options)
    from sketchprep.models.simplifier.export import export_weights
    from sketchprep.training.loop import fit

    result = fit(task, run, options, init_from=init_from, quiet=quiet)
    if not result.stopped_by:
        export_weights(result.run)
    return result


def draw_pairs(
    path: str | Path,
    *,
    preset: str = "cpu",
    photos: str | Path | None = None,
    cache: str | Path | None = None,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    device: str | None = None,
    quiet: bool = False,
) -> None:
    """Write a contact sheet of the first pairs that a run would be trained on, rough beside clean.

    Parameters
    ----------
    path : path
        Ending in ``.jpg`` or ``.png``.
    preset, photos, cache, overrides, seed, device, quiet
        As for `train_simplifier`.

    Raises
    ------
    UserError
        For any mistake in the arguments, and if the sheet cannot be written.
    """
    from sketchprep.io.contact_sheet import save_picture
    from sketchprep.models.simplifier.data.sheet import pair_sheet

    if Path(path).suffix.lower() not in {".jpg", ".jpeg", ".png"}:
        raise UserError(f"--sheet {path}: must end in .jpg or .png")
    options, settings = presets.load("simplifier", preset, Settings, overrides, seed=seed, device=device)
    task = _task(options, settings, photos, cache, quiet=quiet)
    save_picture(pair_sheet(task.pairs, range(SHEET)), Path(path), option="--sheet")


def _task(
    options: Options, settings: Settings, photos: str | Path | None, cache: str | Path | None, *, quiet: bool
) -> SimplifierTask:
    """The task, with the teacher's lines drawn if its mix needs them."""
    shares = mix_of(settings.mix).shares
    teacher = shares["photocopies"] + shares["teacher_lines"] > 0
    folder = prepared(photos, cache, device=runtime.resolve_device(options.device), quiet=quiet) if teacher else None
    return SimplifierTask(settings, seed=options.seed, cache=folder)
