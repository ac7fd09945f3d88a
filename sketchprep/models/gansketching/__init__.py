"""GANSketching (Wang et al., "Sketch Your Own GAN", ICCV 2021), and the StyleGAN2 beneath it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchprep.models.gansketching.model import StyleGAN2Sampler

NETWORK = "sketchprep-stylegan2"
FILE = "stylegan2.safetensors"


def load(path: str | Path, *, device: str = "cpu") -> StyleGAN2Sampler:
    """Open a generator, see `sketchprep.models.gansketching.model.open_sampler`."""
    from sketchprep.models.gansketching.model import open_run

    return open_run(path, device=device)
