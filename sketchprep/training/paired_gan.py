"""Training of a network that draws photos: a generator against discriminators, whatever the sketch goes through first.

DeepFaceDrawing's second stage and the networks it is compared with are trained here, so that losses, discriminators and
scores are the same.  The paper names the losses (GAN, L1, perceptual) and not their weights, the learning rate or what
the discriminators see; those are pix2pixHD's here (Wang et al., CVPR 2018), whose names the authors' released code
keeps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import UserError
from sketchprep.training.task import Batch, Phase, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.models.deepfacedrawing.training.settings import Settings
    from sketchprep.training.paired_data import PairedFaces

__all__ = ["FaceGan"]

# Held-out pairs: the first few are drawn in the sample grid, all of them give the scores.
GRID, HELD_OUT, SCORE_BATCH = 6, 32, 4
SMALLEST_CROP = 32


class FaceGan(Task):
    """A generator and its discriminators in two phases; the perceptual trunk is frozen.

    Parameters
    ----------
    settings : Settings
    faces : PairedFaces
        Pairs to train on.
    held_out : PairedFaces, optional
        For scores and sample grids; default `faces`.
    seed : int
        Of the places that the perceptual loss looks at.
    """

    averaged = ("generator",)

    def __init__(
        self, settings: Settings, faces: PairedFaces, *, held_out: PairedFaces | None = None, seed: int = 0
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
        """The network that is trained to draw, with fresh weights."""

    def before(self) -> dict[str, nn.Module]:
        """Modules that a sketch goes through before the generator sees it; they stay frozen."""
        return {}

    @abstractmethod
    def photos(
        self, modules: Mapping[str, nn.Module], sketch: Tensor, flip: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Photos (B, 3, S, S) of sketches (B, 1, S, S), both -1..1, and the feature maps that they were drawn from."""

    def modules(self) -> dict[str, nn.Module]:
        from sketchprep.nn.patchgan import MultiscaleDiscriminator
        from sketchprep.nn.perceptual import load_perceptual

        s = self.settings
        seen = 3 + (1 if s.condition == "sketch" else s.fm_channels)
        made: dict[str, nn.Module] = {
            "generator": self.generator(),
            "discriminator": MultiscaleDiscriminator(seen, ndf=s.ndf, scales=s.scales),
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
            # Drawn here and not on the device: it belongs to the visit, however visits are dealt to processes.
            most = self.settings.size - self._crop + 1
            corners = [np.random.default_rng([self.seed, visit]).integers(0, most, 2) for visit in visits]
            made["corners"] = np.stack(corners)
        return made

    def generate(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of the generator; leaves in the batch what the discriminators look at afterwards."""
        import torch

        from sketchprep.nn import gan_losses

        s = self.settings
        sketch, photo = _scaled(batch["sketch"]), _scaled(batch["photo"])
        image, features = self.photos(modules, sketch, batch.get("flip"))

        # No gradient through the condition: maps that please the discriminator are not what is asked for.
        condition = sketch if s.condition == "sketch" or features is None else features.detach()
        batch["fake"], batch["real"] = _joined(condition, image.detach()), _joined(condition, photo)
        fake = modules["discriminator"](_joined(condition, image))
        found = {"gan": gan_losses.lsgan(fake, 1.0), "l1": gan_losses.l1(image, photo)}
        if s.feature_matching:
            with torch.no_grad():
                real = modules["discriminator"](batch["real"])
            found["feature_matching"] = gan_losses.feature_matching(fake, real)
        if s.perceptual:
            found["perceptual"] = modules["perceptual"](image, photo, batch.get("corners"))
        return found

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
        kept = {key: value for key, value in s.model_dump(mode="json").items() if key not in _STAGE_1}
        trunk = {"perceptual_weights": weights_sum(s.perceptual_weights)} if s.perceptual else {}
        return {**kept, **trunk, "data": self.faces.describe(), "seed": self.seed}

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
            found = {"l1": gan_losses.l1(image, photo) / 2}
            if self.settings.perceptual:
                found["perceptual"] = modules["perceptual"](image, photo).float()
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(image) / count
        return sums

    def _draw(self, modules: Mapping[str, nn.Module], pairs: Mapping[str, np.ndarray]) -> tuple[Tensor, Tensor]:
        import torch

        device = next(modules["generator"].parameters()).device
        sketch, photo = (_scaled(torch.from_numpy(pairs[name]).to(device)) for name in ("sketch", "photo"))
        return self.photos(modules, sketch)[0].float(), photo


# Settings that this training does not look at; what they did is in the frozen modules, or in the data's description.
_STAGE_1 = ("parts", "shares", "ink_weight", "split", "sketch", "limit", "augment")


def _scaled(pixels: Tensor) -> Tensor:
    """0..255 to -1..1, channels-last."""
    import torch

    from sketchprep.nn.blocks import from_pixels

    return from_pixels(pixels).contiguous(memory_format=torch.channels_last)


def _joined(condition: Tensor, image: Tensor) -> Tensor:
    import torch

    return torch.cat([condition, image], dim=1)
