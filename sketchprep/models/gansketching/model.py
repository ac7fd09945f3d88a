"""A generator in one file: StyleGAN2 with its discriminator and the mean of w, or the fetched face generator."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sketchprep.core import weights
from sketchprep.io.files import atomic
from sketchprep.models.gansketching import FILE, NETWORK
from sketchprep.models.gansketching.stylegan2 import Architecture, Discriminator, Generator
from sketchprep.nn.checkpoint_file import check_shapes, in_run, opened
from sketchprep.nn.face_generator import FaceGenerator, load_face_generator

__all__ = [
    "FaceSampler",
    "Sampler",
    "StyleGAN2Sampler",
    "load_stylegan2",
    "open_run",
    "open_sampler",
    "save_stylegan2",
]

VERSION = 1
MEAN_SAMPLES, MEAN_SEED = 4096, 0  # of the mean of w, where a file brings none


class Sampler(Protocol):
    """What draws pictures from latents.

    Attributes
    ----------
    size, style_dim : int
    rows : int
        Rows of w+.
    about : str
        What the networks are, for notes.
    """

    size: int
    style_dim: int
    rows: int
    about: str

    def map(self, z: Tensor, *, psi: float = 1) -> Tensor:
        """z to w, both of shape (batch, style_dim), pulled towards the mean of w where `psi` is below 1."""

    def draw(self, w: Tensor, *, seeds: list[int] | None = None) -> Tensor:
        """Pictures of w or w+: float, shape (batch, 3, size, size), about -1 to 1.

        With `seeds` each picture's noise is random, given by its seed; without, it is the stored noise.
        """


class StyleGAN2Sampler:
    """`Sampler` of a StyleGAN2 run."""

    def __init__(self, generator: Generator, w_mean: Tensor, *, about: str) -> None:
        net = generator.architecture
        self.generator, self.w_mean, self.about = generator, w_mean, about
        self.size, self.style_dim, self.rows = net.size, net.style_dim, net.rows

    @torch.no_grad()
    def map(self, z: Tensor, *, psi: float = 1) -> Tensor:
        """See `Sampler.map`."""
        w = self.generator.map(z.to(self.w_mean))
        return self.w_mean + psi * (w - self.w_mean)

    @torch.no_grad()
    def draw(self, w: Tensor, *, seeds: list[int] | None = None) -> Tensor:
        """See `Sampler.draw`."""
        wplus = self.generator.rows(w.to(self.w_mean))
        if seeds is None:
            return self.generator.synthesize(wplus, noise="fixed")
        sides = self.generator.architecture.noise_sizes
        drawn = [[_normal(seed, (1, 1, side, side), at) for seed in seeds] for at, side in enumerate(sides)]
        return self.generator.synthesize(wplus, noise=[torch.cat(noise).to(w) for noise in drawn])


class FaceSampler:
    """`Sampler` of the fetched face generator, whose noise is fixed for good."""

    def __init__(self, net: FaceGenerator) -> None:
        from sketchprep.nn import face_generator

        self.net, self.about = net, "MobileStyleGAN for FFHQ faces"
        self.size, self.style_dim, self.rows = face_generator.SIZE, face_generator.STYLE_DIM, face_generator.LAYERS
        self.w_mean = _mean_w(net, self.style_dim)

    @torch.no_grad()
    def map(self, z: Tensor, *, psi: float = 1) -> Tensor:
        """See `Sampler.map`."""
        return self.w_mean + psi * (self.net.map(z.to(self.w_mean)) - self.w_mean)

    @torch.no_grad()
    def draw(self, w: Tensor, *, seeds: list[int] | None = None) -> Tensor:
        """See `Sampler.draw`; seeds change nothing."""
        return self.net.synthesize(w.to(self.w_mean))


def _normal(seed: int, shape: tuple[int, ...], stream: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed * 1000 + stream))


@torch.no_grad()
def _mean_w(net: Generator | FaceGenerator, style_dim: int) -> Tensor:
    z = torch.randn(MEAN_SAMPLES, style_dim, generator=torch.Generator().manual_seed(MEAN_SEED))
    return net.map(z.to(next(net.parameters()))).mean(0, keepdim=True)


def save_stylegan2(
    folder: Path,
    generator: Generator,
    *,
    discriminator: Discriminator | None = None,
    w_mean: Tensor | None = None,
    facts: dict[str, Any] | None = None,
) -> Path:
    """Write networks as ``stylegan2.safetensors``, float32, with their architecture in the header.

    Parameters
    ----------
    folder : Path
        Created if it is missing.
    w_mean : Tensor, shape (style_dim,), optional
        Computed from 4,096 z if not given.
    facts : dict, optional
        JSON values for the header: where the weights come from.
    """
    from safetensors.torch import save_file

    mean = _mean_w(generator, generator.architecture.style_dim) if w_mean is None else w_mean.reshape(1, -1)
    tensors = {f"generator.{name}": value for name, value in generator.state_dict().items()} | {"w_mean": mean}
    if discriminator is not None:
        tensors |= {f"discriminator.{name}": value for name, value in discriminator.state_dict().items()}
    header = {
        "network": NETWORK,
        "version": VERSION,
        "architecture": asdict(generator.architecture),
        "facts": facts or {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: value.detach().float().cpu().contiguous() for name, value in tensors.items()}
    with atomic(folder / FILE) as temporary:
        save_file(stored, temporary, metadata={"sketchprep": json.dumps(header, sort_keys=True)})
    return folder / FILE


def load_stylegan2(path: str | Path, *, device: str = "cpu") -> tuple[Generator, Discriminator | None, Tensor]:
    """Read what `save_stylegan2` wrote: generator, discriminator if there is one, mean of w of shape (1, style_dim).

    Raises
    ------
    UserError
        If the file is missing, of another kind, or does not fit its own description.
    """
    path, remedy = (
        in_run(path, FILE),
        "name a run of `sketchprep train stylegan2` or `sketchprep import-weights stylegan2`",
    )
    with opened(path, NETWORK, "architecture", Architecture, kind="StyleGAN2", remedy=remedy) as (file, _, net):
        networks = nn.ModuleDict({"generator": Generator(net)})
        networks.register_buffer("w_mean", torch.zeros(1, net.style_dim))
        names = list(file.keys())
        if any(name.startswith("discriminator.") for name in names):
            networks["discriminator"] = Discriminator(net)
        check_shapes(networks, file, path)
        networks.load_state_dict({name: file.get_tensor(name) for name in names})
    networks.to(device).eval().requires_grad_(False)
    discriminator = dict(networks.items()).get("discriminator")
    return networks["generator"], discriminator, networks.w_mean  # type: ignore[return-value]


def open_sampler(run: str | Path | None = None, *, device: str = "cpu", offline: bool = False) -> Sampler:
    """What draws: a run's generator, or without a run the face generator of ``fetch face-generator``.

    Raises
    ------
    UserError
        As `load_stylegan2`; if the face generator is not there and cannot be fetched.
    """
    if run is None:
        return FaceSampler(load_face_generator(weights.path("face-generator", offline=offline), device=device))
    return open_run(run, device=device)


def open_run(run: str | Path, *, device: str = "cpu") -> StyleGAN2Sampler:
    """A run's generator, frozen and ready to draw; raises as `load_stylegan2`."""
    generator, _, mean = load_stylegan2(run, device=device)
    return StyleGAN2Sampler(generator, mean, about=f"StyleGAN2 of {in_run(run, FILE)}")
