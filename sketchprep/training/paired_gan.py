"""A conditional GAN on (sketch, photo) pairs: one generator against multi-scale PatchGAN discriminators.

DeepFaceDrawing's second stage and its pix2pix baselines share it, so that their losses, discriminators and scores are
the same.  The paper names the losses (GAN, L1, perceptual) but not their weights, the learning rate or what the
discriminators see; those are pix2pixHD's here (Wang et al., CVPR 2018), whose names the authors' released code keeps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel
from sketchprep.errors import UserError
from sketchprep.training.augment import Augment
from sketchprep.training.task import Batch, Phase, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.training.paired_data import PairedFaces

__all__ = ["GanSettings", "PairedGan"]

# Held-out pairs: the first few are drawn in the sample grid, all of them give the scores.
GRID, HELD_OUT, SCORE_BATCH = 6, 32, 4
SMALLEST_CROP = 32
LEAST_PAIRS = 2

Weight = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]
#: Settings that only decide the data, which describe themselves.
DATA_SETTINGS = {"split", "sketch", "limit", "augment"}


class GanSettings(FrozenModel):
    """Data, losses and discriminators of a `PairedGan`; a family adds the shape of its networks.

    Attributes
    ----------
    size : int
        Height and width of sketch and photo in pixels.
    sketch : str
        Which of the dataset's pictures is the sketch: ``"sketch"`` or a stored stage.
    split : str
        The part of the dataset that is trained on.
    limit : int, optional
        Only the first so many pairs.
    augment : Augment
        Changes made to training sketches, see `sketchprep.training.augment.Augment`; all off by default.
    lr : float
        Peak learning rate of Adam.
    betas : pair of float
    gan, feature_matching, l1, perceptual : float
        Weights of the generator's losses.
    perceptual_layers : tuple of int
        Stages of the VGG trunk that are compared, 1 (fine) to 5 (coarse).
    perceptual_size : int
        Side in pixels of the random crop that is compared; 0 compares whole pictures.
    perceptual_weights : str, optional
        File with weights of VGG16 or VGG19; default the trunk of HED, which sketches are made with.
    ndf, scales : int
        Channels and number of the discriminators.
    condition : {"sketch", "features"}
        What the discriminators see beside the picture: the sketch, or the feature maps it was drawn from.
    """

    size: int = Field(default=512, ge=64, le=512, multiple_of=64)
    sketch: str = "sketch"
    split: str = "train"
    limit: int | None = Field(default=None, ge=1)
    augment: Augment = Augment()

    lr: float = Field(default=2e-4, gt=0)
    betas: tuple[Beta, Beta] = (0.5, 0.999)

    gan: Weight = 1.0
    feature_matching: Weight = 10.0
    l1: Weight = 10.0
    perceptual: Weight = 10.0
    perceptual_layers: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (1, 2, 3, 4, 5)
    perceptual_size: int = Field(default=0, ge=0)
    perceptual_weights: str | None = None
    ndf: int = Field(default=64, ge=1)
    scales: int = Field(default=3, ge=1, le=4)
    condition: Literal["sketch", "features"] = "sketch"

    @field_validator("size")
    @classmethod
    def _known_size(cls, value: int) -> int:
        if value not in (64, 128, 256, 512):
            raise ValueError("a frame is 64, 128, 256 or 512 px")
        return value

    def faces(self, data: str | Path, *, seed: int = 0, photos: bool = True) -> PairedFaces:
        """The pairs of a dataset to train on; raises as `paired_data.PairedFaces`, and if there is only one."""
        from sketchprep.training.paired_data import PairedFaces

        faces = PairedFaces(
            data, size=self.size, split=self.split, sketch=self.sketch, seed=seed, photos=photos, augment=self.augment,
            limit=self.limit,
        )  # fmt: skip
        if len(faces) < LEAST_PAIRS:
            raise UserError(
                f"{data}: has only {len(faces)} pair to train on (split {self.split}); training needs {LEAST_PAIRS} at "
                "the very least, and thousands to be of use"
            )
        return faces

    def held_out(self, data: str | Path, *, photos: bool = True) -> PairedFaces:
        """The pairs of a dataset to evaluate on, see `sketchprep.training.paired_data.held_out`."""
        from sketchprep.training.paired_data import held_out

        return held_out(data, size=self.size, sketch=self.sketch, photos=photos)


class PairedGan(Task):
    """A generator and its discriminators in two phases, with a frozen network for the perceptual loss.

    Parameters
    ----------
    settings : GanSettings
    faces : PairedFaces
        Pairs to train on.
    held_out : PairedFaces, optional
        For scores and sample grids; default `faces`.
    seed : int
        Of the random crops that the perceptual loss compares.
    """

    averaged = ("generator",)

    def __init__(
        self, settings: GanSettings, faces: PairedFaces, *, held_out: PairedFaces | None = None, seed: int = 0
    ) -> None:
        if settings.perceptual and 0 < settings.perceptual_size < SMALLEST_CROP:
            raise UserError(
                f"perceptual_size={settings.perceptual_size} is too small for the trunk; use {SMALLEST_CROP} or more, "
                "or 0 for whole pictures"
            )
        self.settings, self.faces, self.held_out, self.seed = settings, faces, held_out or faces, seed
        whole = not 0 < settings.perceptual_size < settings.size
        self._crop = None if whole or not settings.perceptual else settings.perceptual_size

    @abstractmethod
    def generator(self) -> nn.Module:
        """The network from sketch to photo, with fresh weights."""

    def before(self) -> dict[str, nn.Module]:
        """Frozen modules that a sketch goes through before the generator sees it."""
        return {}

    @abstractmethod
    def photos(
        self, modules: Mapping[str, nn.Module], sketch: Tensor, flip: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Photos (B, 3, S, S) of sketches (B, 1, S, S), both -1..1, and the feature maps that they were drawn from."""

    def condition_channels(self) -> int:
        """Channels that the discriminators see beside the photo."""
        return 1

    def modules(self) -> dict[str, nn.Module]:
        from sketchprep.nn.patchgan import MultiscaleDiscriminator
        from sketchprep.nn.perceptual import load_perceptual

        s = self.settings
        made: dict[str, nn.Module] = {
            "generator": self.generator(),
            "discriminator": MultiscaleDiscriminator(3 + self.condition_channels(), ndf=s.ndf, scales=s.scales),
            **self.before(),
        }
        if s.perceptual:
            made["perceptual"] = load_perceptual(s.perceptual_weights, layers=s.perceptual_layers, size=self._crop)
        return made

    def phases(self) -> list[Phase]:
        import torch

        s = self.settings
        adam = partial(torch.optim.Adam, lr=s.lr, betas=s.betas)
        names = ("gan", "feature_matching", "l1", "perceptual")
        weights = {name: getattr(s, name) for name in names}
        return [
            Phase("g", ("generator",), self.generate, adam, weights),
            Phase("d", ("discriminator",), self.discriminate, adam, {"fake": 0.5, "real": 0.5}),
        ]

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        made = dict(self.faces.batch(visits))
        if self._crop:
            # Drawn here and not on the device: a crop belongs to its visit, however visits are dealt to processes.
            most = self.settings.size - self._crop + 1
            corners = [np.random.default_rng([self.seed, visit]).integers(0, most, 2) for visit in visits]
            made["corners"] = np.stack(corners)
        return made

    def generate(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of the generator; leaves in the batch what the discriminators look at afterwards."""
        import torch

        from sketchprep.nn import gan_losses

        s = self.settings
        sketch, photo = _normalised(batch["sketch"]), _normalised(batch["photo"])
        image, features = self.photos(modules, sketch, batch.get("flip"))

        # No gradient through the condition: maps that please the discriminator are not what is asked for.
        condition = sketch if s.condition == "sketch" or features is None else features.detach()
        batch["fake"], batch["real"] = _concatenated(condition, image.detach()), _concatenated(condition, photo)
        fake = modules["discriminator"](_concatenated(condition, image))
        losses = {"gan": gan_losses.lsgan(fake, 1.0), "l1": gan_losses.l1(image, photo)}
        if s.feature_matching:
            with torch.no_grad():
                real = modules["discriminator"](batch["real"])
            losses["feature_matching"] = gan_losses.feature_matching(fake, real)
        if s.perceptual:
            losses["perceptual"] = modules["perceptual"](image, photo, batch.get("corners"))
        return losses

    def discriminate(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of the discriminators."""
        import torch

        from sketchprep.nn import gan_losses

        # InstanceNorm keeps pictures apart, so one pass over both gives what two would.
        answers = modules["discriminator"](torch.cat([batch["fake"], batch["real"]]))
        count = len(batch["fake"])
        fake, real = ([[a[part] for a in scale] for scale in answers] for part in (slice(count), slice(count, None)))
        return {"fake": gan_losses.lsgan(fake, 0.0), "real": gan_losses.lsgan(real, 1.0)}

    def describe(self) -> dict[str, Any]:
        from sketchprep.nn.perceptual import weights_sum

        s = self.settings
        trunk = {"perceptual_weights": weights_sum(s.perceptual_weights)} if s.perceptual else {}
        values = s.model_dump(mode="json", exclude=DATA_SETTINGS)
        return {**values, **trunk, "data": self.faces.describe(), "seed": self.seed}

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray:
        from sketchprep.io.contact_sheet import contact_sheet
        from sketchprep.nn.blocks import to_pixels

        pairs = self.held_out.fixed(GRID)
        drawn = self._draw(modules, pairs)[0]
        rows = list(zip(pairs["sketch"][:, 0], to_pixels(drawn), pairs["photo"].transpose(0, 2, 3, 1), strict=True))
        return contact_sheet(rows, ["sketch", "drawn", "photo"], tile=self.settings.size)

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """Mean absolute error (values of 0..1) and perceptual distance of whole pictures."""
        from sketchprep.nn import gan_losses

        pairs = self.held_out.fixed(HELD_OUT)
        count = len(pairs["photo"])
        sums: dict[str, float] = {}
        for first in range(0, count, SCORE_BATCH):
            some = {name: array[first : first + SCORE_BATCH] for name, array in pairs.items()}
            image, photo = self._draw(modules, some)
            losses = {"l1": gan_losses.l1(image, photo) / 2}
            if self.settings.perceptual:
                losses["perceptual"] = modules["perceptual"](image, photo).float()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(image) / count
        return sums

    def _draw(self, modules: Mapping[str, nn.Module], pairs: Mapping[str, np.ndarray]) -> tuple[Tensor, Tensor]:
        import torch

        device = next(modules["generator"].parameters()).device
        sketch, photo = (_normalised(torch.from_numpy(pairs[name]).to(device)) for name in ("sketch", "photo"))
        return self.photos(modules, sketch)[0].float(), photo


def _normalised(pixels: Tensor) -> Tensor:
    """0..255 to -1..1, channels-last."""
    import torch

    from sketchprep.nn.blocks import from_pixels

    return from_pixels(pixels).contiguous(memory_format=torch.channels_last)


def _concatenated(condition: Tensor, image: Tensor) -> Tensor:
    import torch

    return torch.cat([condition, image], dim=1)
