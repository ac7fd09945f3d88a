"""StyleGAN2 (Karras et al., CVPR 2020) in plain PyTorch: any size, any authors' weights, twice differentiable."""

from sketchprep.models.gansketching.stylegan2.architecture import Architecture
from sketchprep.models.gansketching.stylegan2.discriminator import Discriminator
from sketchprep.models.gansketching.stylegan2.generator import Generator

__all__ = ["Architecture", "Discriminator", "Generator"]
