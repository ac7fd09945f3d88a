"""The training task of GANSketching: a generator against one discriminator for sketches and one for photos.

"Sketch Your Own GAN" (Wang, Bau, Zhu, ICCV 2021): the discriminator of sketches compares drawings of generated
pictures with the user's; that of photos, weighted by λ, keeps the pictures what they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sketchprep.models.gansketching import losses
from sketchprep.models.gansketching.diffaugment import DiffAugment
from sketchprep.models.gansketching.sketch_distance import nearest
from sketchprep.models.gansketching.training.phases import Draws, draw_latents, gan_phases
from sketchprep.models.gansketching.transforms import chain
from sketchprep.nn.blocks import from_pixels, to_pixels
from sketchprep.training.task import Batch, Phase, Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from sketchprep.models.gansketching.stylegan2 import Discriminator, Generator
    from sketchprep.models.gansketching.training.photos import Photos
    from sketchprep.models.gansketching.training.settings import SketchSettings
    from sketchprep.models.gansketching.training.sketches import Sketches

__all__ = ["SketchTask"]


COLUMNS, GRID_PSI = 8, 0.7
SCORED, CHUNK = 32, 8


class SketchTask(Task):
    """A pre-trained generator whose pictures are to look, once drawn, like some sketches.

    Parameters
    ----------
    settings : SketchSettings
    base : Generator
        Pre-trained.
    critic : Discriminator
        Pre-trained with it; both discriminators start from it.
    drawer : Module
        Differentiable, frozen: pictures (B, 3, S, S) to drawings (B, 1, S, S), both -1 to 1.
    sketches : Sketches
    photos : Photos, optional
        Needed unless ``settings.image`` is 0.
    mean : Tensor, shape (1, style_dim), optional
        Of w, for the sample grid; computed if not given.
    about : mapping
        What decides base, critic and drawer, as plain values.
    """

    name = "gansketching"

    def __init__(
        self,
        settings: SketchSettings,
        base: Generator,
        critic: Discriminator,
        drawer: nn.Module,
        sketches: Sketches,
        photos: Photos | None = None,
        *,
        mean: Tensor | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings, self.sketches, self.photos = settings, sketches, photos if settings.image else None
        self._base, self._critic, self._drawer, self._about = base, critic, drawer, dict(about or {})
        self._mean = base.mean_w(generator=torch.Generator().manual_seed(0)) if mean is None else mean
        self._augment = DiffAugment(settings.augment, fill=settings.fill)
        self._real = chain(settings.real)
        chain(settings.fake, drawer)  # a mistake in it is better told now

    def modules(self) -> dict[str, nn.Module]:
        generator = deepcopy(self._base).requires_grad_(False)
        for name, parameter in generator.named_parameters():
            parameter.requires_grad_(self._is_trained(name))
        made: dict[str, nn.Module] = {
            "generator": generator,
            "sketch_critic": deepcopy(self._critic).requires_grad_(True),
            "drawer": self._drawer,
        }
        if self.photos is not None:
            made["image_critic"] = deepcopy(self._critic).requires_grad_(True)
        return made

    def _is_trained(self, name: str) -> bool:
        kinds = {"mapping": name.startswith("style."), "w_shift": name.endswith("w_shift"), "all": True}
        return kinds[self.settings.trained]

    def phases(self) -> list[Phase]:
        s = self.settings
        image = {"fake_image": s.image, "real_image": s.image}
        penalty = s.r1 / 2 * s.r1_every
        return gan_phases(
            self.discriminate,
            self.penalise,
            self.generate,
            critics=self._critics(),
            lr=s.lr,
            lr_critic=s.lr_critic,
            betas=s.betas,
            every=s.r1_every,
            weights={
                "d": image,
                "r1": {"sketch": penalty, "image": penalty * s.image},
                "g": {"image": s.image, "weight_distance": s.weight_distance},
            },
        )

    def _critics(self) -> tuple[str, ...]:
        return ("sketch_critic",) if self.photos is None else ("sketch_critic", "image_critic")

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        made = {"sketch": self.sketches.batch(visits)}
        if self.photos is not None:
            made["photo"] = self.photos.batch(visits)
        return made

    def draws(self, count: int, device: torch.device) -> Draws:
        """Random latents of a batch."""
        net = self._base.architecture
        return draw_latents(count, style_dim=net.style_dim, rows=net.rows, mixing=self.settings.mixing, device=device)

    def discriminate(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of the discriminators: generated pictures and their drawings against photos and sketches."""
        sketch = from_pixels(batch["sketch"])
        with torch.no_grad():
            fake = modules["generator"](**self.draws(len(sketch), sketch.device))
            drawn = self._drawn(modules, fake)
        kind = self.settings.loss
        found = {
            "fake_sketch": losses.discriminate(modules["sketch_critic"](self._augment(drawn)), real=False, kind=kind),
            "real_sketch": losses.discriminate(
                modules["sketch_critic"](self._augment(self._real(sketch))), real=True, kind=kind
            ),
        }
        if self.photos is not None:
            critic = modules["image_critic"]
            found["fake_image"] = losses.discriminate(critic(fake), real=False, kind=kind)
            found["real_image"] = losses.discriminate(critic(from_pixels(batch["photo"])), real=True, kind=kind)
        return found

    def penalise(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """R1 penalties; that of sketches is taken through transforms and augmentation, down to the one channel."""
        sketch = from_pixels(batch["sketch"]).requires_grad_()
        logits = modules["sketch_critic"](self._augment(self._real(sketch)))
        found = {"sketch": losses.r1_penalty(logits, sketch)}
        if self.photos is not None:
            photo = from_pixels(batch["photo"]).requires_grad_()
            found["image"] = losses.r1_penalty(modules["image_critic"](photo), photo)
        return found

    def generate(self, modules: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Losses of the generator."""
        count, kind = len(batch["sketch"]), self.settings.loss
        fake = modules["generator"](**self.draws(count, batch["sketch"].device))
        logits = modules["sketch_critic"](self._augment(self._drawn(modules, fake)))
        found = {"sketch": losses.generate(logits, kind=kind)}
        if self.photos is not None:
            found["image"] = losses.generate(modules["image_critic"](fake), kind=kind)
        if self.settings.weight_distance:
            found["weight_distance"] = self._strayed(modules["generator"])
        return found

    def _drawn(self, modules: Mapping[str, nn.Module], pictures: Tensor) -> Tensor:
        return chain(self.settings.fake, modules["drawer"])(pictures)

    def _strayed(self, generator: nn.Module) -> Tensor:
        begun = dict(self._base.named_parameters())
        trained = {name: p for name, p in generator.named_parameters() if self._is_trained(name)}
        return losses.weight_distance(trained.values(), (begun[name].to(p) for name, p in trained.items()))

    def show_inputs(self, run: Path) -> None:
        """Write ``sheet.png``: the sketches as they were read, above what the discriminator sees."""
        from sketchprep.io.contact_sheet import save_picture

        save_picture(self.sketches.sheet(), run / "sheet.png", option="--run")

    def samples(self, modules: Mapping[str, nn.Module]) -> np.ndarray:
        """Rows: pictures of the base, of the same latents now, what the drawer draws of these, and the sketches."""
        base, now, drawn = self._compared(modules, COLUMNS, psi=GRID_PSI)
        sketches = self.sketches.fixed(COLUMNS)[:, 0]
        blank = [np.full_like(sketches[0], 255)] * (COLUMNS - len(sketches))
        rows = [base, now, *(np.stack([grey] * 3, -1) for grey in (drawn, np.stack([*sketches, *blank])))]
        return np.vstack([np.hstack(list(row)) for row in rows])

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """Mean distance of fresh samples' drawings from the nearest sketch, in percent of the side."""
        _, _, drawn = self._compared(modules, SCORED, psi=1)
        sketches = self.sketches.fixed(SCORED)[:, 0]
        return {"sketch_distance": float(np.mean([nearest(one, sketches) for one in drawn]))}

    def _compared(
        self, modules: Mapping[str, nn.Module], count: int, *, psi: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures of the base and of the trained generator for the same latents, and drawings of the latter."""
        device = next(modules["generator"].parameters()).device
        drawing = torch.Generator().manual_seed(0)
        z = torch.randn(count, self._base.architecture.style_dim, generator=drawing).to(device)
        base = self._base.to(device)
        made: list[list[np.ndarray]] = [[], [], []]
        for some in z.split(CHUNK):
            options: dict[str, Any] = {"psi": psi, "mean": self._mean.to(device), "noise": "fixed"}
            now = modules["generator"](some, **options)
            drawn = modules["drawer"](now)
            for place, pictures in zip(made, (base(some, **options), now, drawn), strict=True):
                place.append(to_pixels(pictures))
        return tuple(np.concatenate(parts) for parts in made)  # type: ignore[return-value]

    def __getstate__(self) -> dict[str, Any]:
        # Processes that make batches need no networks.
        return {key: value for key, value in self.__dict__.items() if key not in ("_base", "_critic", "_drawer")}

    def describe(self) -> dict[str, Any]:
        photos = {} if self.photos is None else {"photos": self.photos.describe()}
        return {**self.settings.model_dump(mode="json"), **self._about, "sketches": self.sketches.describe(), **photos}
