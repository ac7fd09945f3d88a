"""Stage 1 of DeepFaceDrawing: an autoencoder for each part of a sketch, all at once or one alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.training.task import Batch, Phase, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sketchprep.models.deepfacedrawing.training.settings import Settings
    from sketchprep.training.paired_data import PairedFaces

__all__ = ["CeTask", "drawn_error"]

# Training pictures whose mean and variance are what an explanation is measured against; held-out ones that are
# scored, at once, and drawn.
MEAN_OF, HELD_OUT, CHUNK, GRID = 256, 48, 8, 6
PAPER = 1.0
# Below this variance (in -1..1, per pixel) a part is blank everywhere and there is nothing to explain.
BLANK = 1e-5


class CeTask(Task):
    """Five autoencoders, or some of them, with a phase each.

    Parameters
    ----------
    settings : Settings
    faces, held_out : PairedFaces
        Sketches to learn from, and others to measure on.
    """

    name = "ce"

    def __init__(self, settings: Settings, faces: PairedFaces, held_out: PairedFaces) -> None:
        self.settings, self.faces, self.held_out = settings, faces, held_out
        # What is measured, drawn and handed to stage 2 are the averages.
        self.averaged = settings.parts  # type: ignore[misc]
        self._usual: dict[str, tuple[Tensor, float]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_usual": None}

    def modules(self) -> dict[str, nn.Module]:
        from torch import nn

        from sketchprep.models.deepfacedrawing.networks.modules import Autoencoder

        architecture = self.settings.architecture()
        made = {part: Autoencoder(part, architecture) for part in self.settings.parts}
        for autoencoder in made.values():
            # Most of a sketch is paper: to begin there saves Adam a long way in small steps.
            nn.init.constant_(autoencoder.decoder.body[-1].bias, PAPER)  # type: ignore[arg-type]
        return made  # type: ignore[return-value]

    def phases(self) -> list[Phase]:
        import torch

        s, watched = self.settings, {"unexplained": 0.0}
        adam = partial(torch.optim.Adam, lr=s.lr, betas=s.betas)
        shares = {part: s.shares.get(part, 1) for part in s.parts}
        least = min(shares.values())  # a step in which nobody moves would be wasted
        return [
            Phase(part, (part,), partial(self.loss, part), adam, watched, max(1, round(share / least)))
            for part, share in shares.items()
        ]

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        return self.faces.batch(visits)

    def loss(self, part: str, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """``mse``, see `drawn_error`; watched beside it ``unexplained``, the plain error's share of the variance."""
        if "parts" not in batch:  # the phases of a step share their batch
            batch["parts"] = self.parts(batch)
        image = batch["parts"][part]
        drawn = modules[part](image)
        plain = (drawn.detach() - image).square().mean()
        _, variance = self.usual()[part]
        return {"mse": drawn_error(drawn, image, self.settings.ink_weight), "unexplained": plain / variance}

    def parts(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The parts of a batch's sketches, -1..1."""
        from sketchprep.models.deepfacedrawing.networks.modules import part_images
        from sketchprep.nn.blocks import from_pixels

        return part_images(from_pixels(batch["sketch"]), self.settings.size, batch.get("flip"))

    def describe(self) -> dict[str, Any]:
        chosen = self.settings.model_dump(mode="json", include={"parts", "shares", "lr", "betas", "ink_weight"})
        return {"architecture": self.settings.encoder(), **chosen, "data": self.faces.describe()}

    def usual(self) -> dict[str, tuple[Tensor, float]]:
        """Mean picture of each part over training sketches, and the mean square of what differs from it."""
        if self._usual is None:
            sketches = self.faces.fixed(MEAN_OF)["sketch"]
            sums: dict[str, Any] = {}
            for chunk in self._chunks(sketches, "cpu"):
                for part, image in chunk.items():
                    one, two = sums.get(part, (0.0, 0.0))
                    sums[part] = (one + image.double().sum(0), two + image.double().square().sum(0))
            n = len(sketches)
            self._usual = {
                part: ((one / n).float(), max(BLANK, float((two / n - (one / n).square()).mean())))
                for part, (one, two) in sums.items()
            }
        return self._usual

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """``unexplained.PART`` = Σ(x - x̂)² / Σ(x - mean)² over held-out sketches, 0 for perfect, 1 for the mean."""
        off = dict.fromkeys(self.settings.parts, 0.0)
        spread = dict.fromkeys(self.settings.parts, 0.0)
        device = _device(modules)
        sketches = self.held_out.fixed(min(HELD_OUT, len(self.held_out)))["sketch"]
        for chunk in self._chunks(sketches, device):
            for part in self.settings.parts:
                image = chunk[part]
                mean, _ = self.usual()[part]
                off[part] += float((modules[part](image).float() - image).square().sum())
                spread[part] += max(float((image - mean.to(device)).square().sum()), BLANK * image.numel())
        shares = {part: off[part] / spread[part] for part in off}
        return {f"unexplained.{part}": share for part, share in shares.items()} | {
            "unexplained.mean": sum(shares.values()) / len(shares)
        }

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray:
        """Held-out sketches, all of them drawn from codes again, and single parts beside what their codes drew."""
        from sketchprep.io.contact_sheet import contact_sheet
        from sketchprep.models.deepfacedrawing.networks.modules import fuse
        from sketchprep.nn.blocks import to_pixels

        device, columns = _device(modules), {}
        sketches = self.held_out.fixed(min(GRID, len(self.held_out)))["sketch"]
        images = next(iter(self._chunks(sketches, device, at_once=len(sketches))))
        drawn = {part: modules[part](images[part]).float() for part in self.settings.parts}
        columns["sketch"] = sketches[:, 0]
        if len(drawn) == len(images):
            columns["from its five codes"] = to_pixels(fuse(drawn, self.settings.size))
        for part in reversed(self.settings.parts):
            words = part.replace("_", " ")
            columns[words] = to_pixels(images[part])
            columns[f"{words}, from its code"] = to_pixels(drawn[part])
        rows = list(zip(*columns.values(), strict=True))
        return contact_sheet(rows, list(columns), tile=max(192, self.settings.size))

    def _chunks(
        self, sketches: np.ndarray, device: torch.device | str, *, at_once: int = CHUNK
    ) -> Iterator[dict[str, Tensor]]:
        import torch

        for first in range(0, len(sketches), at_once):
            yield self.parts({"sketch": torch.from_numpy(sketches[first : first + at_once]).to(device)})


def drawn_error(drawn: Tensor, image: Tensor, ink_weight: float) -> Tensor:
    """Square error of a drawing, with ink counted `ink_weight` times: mean over the pictures of their weighted means.

    Most of a sketch is white, so that a plain mean is nearly satisfied by blank paper.

    Parameters
    ----------
    drawn, image : Tensor of float, shape (B, 1, s, s)
        -1 (ink) to 1 (paper).
    ink_weight : float
        1 gives the mean square error.
    """
    error = (drawn.float() - image).square()
    if ink_weight == 1:
        return error.mean()
    weight = 1 + (ink_weight - 1) * (1 - image) / 2
    return ((weight * error).sum((1, 2, 3)) / weight.sum((1, 2, 3))).mean()


def _device(modules: Mapping[str, nn.Module]) -> torch.device:
    return next(next(iter(modules.values())).parameters()).device
