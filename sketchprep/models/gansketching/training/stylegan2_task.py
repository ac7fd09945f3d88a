"""The training task of a StyleGAN2 on photos (Karras et al., CVPR 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.training.task import Batch, Phase, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sketchprep.models.gansketching.training.photos import Photos
    from sketchprep.models.gansketching.training.settings import StyleGAN2Settings

__all__ = ["StyleGAN2Task"]

COLUMNS, ROWS = 6, 4  # of the sample grid, one of whose rows are photos
GRID_PSI = 0.7
SCORED = 64  # pictures, and photos, of the kernel distance
CHUNK = 8


class StyleGAN2Task(Task):
    """Generator and discriminator from fresh weights, with lazy R1, style mixing and differentiable augmentation.

    Path length regularisation is left out: at the sizes that are trained here it costs more than it gives.

    Parameters
    ----------
    settings : StyleGAN2Settings
    photos : Photos
    """

    name = "stylegan2"
    averaged = ("generator",)

    def __init__(self, settings: StyleGAN2Settings, photos: Photos) -> None:
        self.settings, self.photos, self.net = settings, photos, settings.architecture()
        self._real: np.ndarray | None = None

    def modules(self) -> dict[str, nn.Module]:
        from sketchprep.models.gansketching.stylegan2 import Discriminator, Generator

        return {"generator": Generator(self.net), "discriminator": Discriminator(self.net)}

    def phases(self) -> list[Phase]:
        from sketchprep.models.gansketching.training.phases import gan_phases

        s = self.settings
        return gan_phases(
            self.discriminate,
            self.penalise,
            self.generate,
            critics=("discriminator",),
            lr=s.lr,
            lr_critic=s.lr_critic,
            betas=s.betas,
            every=s.r1_every,
            weights={"r1": {"penalty": s.r1 / 2 * s.r1_every}},
        )

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        return {"photo": self.photos.batch(visits)}

    def discriminate(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of the discriminator on generated pictures and on photos."""
        import torch

        from sketchprep.models.gansketching import losses
        from sketchprep.nn.blocks import from_pixels

        photo = from_pixels(batch["photo"])
        with torch.no_grad():
            fake = self._pictures(modules, len(photo), photo.device)
        critic, augment = modules["discriminator"], self._augment()
        return {
            "fake": losses.discriminate(critic(augment(fake)), real=False),
            "real": losses.discriminate(critic(augment(photo)), real=True),
        }

    def penalise(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """The R1 penalty on photos, through their augmentation."""
        from sketchprep.models.gansketching import losses
        from sketchprep.nn.blocks import from_pixels

        photo = from_pixels(batch["photo"]).requires_grad_()
        return {"penalty": losses.r1_penalty(modules["discriminator"](self._augment()(photo)), photo)}

    def generate(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Loss of the generator."""
        from sketchprep.models.gansketching import losses

        fake = self._pictures(modules, len(batch["photo"]), batch["photo"].device)
        return {"gan": losses.generate(modules["discriminator"](self._augment()(fake)))}

    def _pictures(self, modules: Mapping[str, nn.Module], count: int, device: torch.device) -> Tensor:
        from sketchprep.models.gansketching.training.phases import draw_latents

        net, mixing = self.net, self.settings.mixing
        draws = draw_latents(count, style_dim=net.style_dim, rows=net.rows, mixing=mixing, device=device)
        return modules["generator"](**draws)

    def _augment(self) -> Any:
        from sketchprep.models.gansketching.diffaugment import DiffAugment

        return DiffAugment(self.settings.augment, fill=self.settings.fill)

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray:
        count = COLUMNS * (ROWS - 1)
        made = list(self._fixed(modules, count, psi=GRID_PSI))
        real = list(self.photos.fixed(COLUMNS).transpose(0, 2, 3, 1))
        rows = [made[first : first + COLUMNS] for first in range(0, count, COLUMNS)]
        rows += [real] if len(real) == COLUMNS else []  # photos below, to compare with
        return np.vstack([np.hstack(row) for row in rows])

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """Kernel distance between generated pictures and photos, on features of HED's trunk, times 1,000."""
        from sketchprep.evaluation.distribution import kernel_distance
        from sketchprep.models.gansketching.features import trunk_features

        real = self.photos.fixed(SCORED).transpose(0, 2, 3, 1)
        if self._real is None:
            self._real = trunk_features(real)
        made = trunk_features(self._fixed(modules, len(real), psi=1))
        return {"kernel_distance": 1000 * kernel_distance(made, self._real, bandwidth=None).value}

    def _fixed(self, modules: Mapping[str, nn.Module], count: int, *, psi: float) -> np.ndarray:
        """Pictures of the same latents each time: uint8, (count, S, S, 3)."""
        import torch

        from sketchprep.nn.blocks import to_pixels

        generator = modules["generator"]
        device = next(generator.parameters()).device
        drawing = torch.Generator().manual_seed(0)
        z = torch.randn(count, self.net.style_dim, generator=drawing).to(device)
        mean = generator.mean_w(1024, generator=drawing) if psi < 1 else None  # type: ignore[operator]
        parts = [generator(some, psi=psi, mean=mean, noise="fixed") for some in z.split(CHUNK)]
        return np.concatenate([to_pixels(part) for part in parts])

    def describe(self) -> dict[str, Any]:
        return {**self.settings.model_dump(mode="json", exclude={"split", "limit"}), "data": self.photos.describe()}
