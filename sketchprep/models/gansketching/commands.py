"""Commands of GANSketching: generate pictures, train a StyleGAN2, import other authors' one."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from sketchprep.core.cli_options import DEVICE, OFFLINE, OUT_NEEDED
from sketchprep.training.commands import trains

__all__ = ["COMMANDS", "EVALUATE", "IMPORT", "TRAIN"]


@click.command()
@OUT_NEEDED
@click.option(
    "--run", type=click.Path(path_type=Path), help="Generator to draw with; default: the fetched face generator."
)
@click.option("--seeds", metavar="A-B,C", help="Seeds of the pictures, for instance 0-7,12; default: 0-7.")
@click.option("--latents", type=click.Path(path_type=Path), help="w or w+ as .npy or .npz instead of seeds.")
@click.option(
    "--psi", default=0.7, show_default=True, help="Truncation, 0 to 1: lower is more average, with fewer faults."
)
@click.option("--random-noise", is_flag=True, help="Noise given by the seed instead of the stored one.")
@click.option(
    "--edit",
    "edits",
    multiple=True,
    metavar="FILE:N=STRENGTH",
    help="Move w along a direction of `sketchprep directions`; @A-B at the end for rows A to B alone.",
)
@click.option("--batch", default=1, show_default=True, help="Pictures drawn at once.")
@DEVICE
@OFFLINE
def generate(
    out: Path,
    run: Path | None,
    seeds: str | None,
    latents: Path | None,
    psi: float,
    random_noise: bool,
    edits: tuple[str, ...],
    batch: int,
    device: str,
    offline: bool,
) -> None:
    """Draw pictures from random latents, with a sheet of all.

    Without --run it draws photo-real faces of 1024 px with a network that `sketchprep fetch face-generator` brings.
    """
    from sketchprep.core import progress, runtime
    from sketchprep.errors import UserError
    from sketchprep.models.gansketching import generate as generating
    from sketchprep.models.gansketching.edits import parse_edit
    from sketchprep.models.gansketching.model import open_sampler

    if seeds is not None and latents is not None:
        raise UserError("--seeds or --latents: name one of them")
    wanted = None if latents is not None else generating.parse_seeds(seeds or "0-7")
    sampler = open_sampler(run, device=runtime.resolve_device(device), offline=offline)
    if run is None:
        click.echo("faces of MobileStyleGAN; its weights descend from NVIDIA's: treat them as non-commercial", err=True)
    found = generating.generate(
        sampler,
        out,
        seeds=wanted,
        latents=None if latents is None else generating.read_latents(latents, sampler),
        psi=psi,
        batch=batch,
        random_noise=random_noise,
        edits=[parse_edit(text, style_dim=sampler.style_dim) for text in edits],
        progress=partial(progress.bar, unit="picture"),
    )
    click.echo(f"{len(found.pictures)} pictures in {out}; look at {found.sheet}")


@click.command()
@click.option("--run", type=click.Path(path_type=Path), help="Generator; default: the fetched face generator.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="File for the result, .npz.")
@click.option(
    "--method",
    type=click.Choice(["ganspace", "sefa"]),
    default="ganspace",
    show_default=True,
    help="Principal components of w, or singular vectors of the modulation weights.",
)
@click.option("--components", default=80, show_default=True, help="How many.")
@click.option("--samples", default=300_000, show_default=True, help="Of w, for ganspace.")
@OFFLINE
def directions(run: Path | None, out: Path, offline: bool, **options: Any) -> None:
    """Find directions in which a generator's pictures change, for `generate --edit`."""
    from sketchprep.models.gansketching.edits import fit_directions
    from sketchprep.models.gansketching.model import open_sampler

    found = fit_directions(open_sampler(run, offline=offline), out, **options)
    click.echo(f"{len(found.components)} directions in {out}; try `sketchprep generate --edit {out}:0=3 -o DIR`")


@click.command("stylegan2")
@click.argument("weights", type=click.Path(path_type=Path))
@OUT_NEEDED
@click.option("--discriminator", type=click.Path(path_type=Path), help="File of the discriminator, if it is another.")
def import_stylegan2(weights: Path, out: Path, discriminator: Path | None) -> None:
    """StyleGAN2: PyTorch checkpoints, GANSketching's files, NVIDIA's pickles, safetensors.

    Nothing that lies in a file is run.  Size, width and depth are inferred.
    """
    from sketchprep.models.gansketching.import_weights import import_stylegan2 as bring

    click.echo(bring(weights, out, discriminator=discriminator).text())


@click.command("photosketch")
@click.argument("weights", type=click.Path(path_type=Path))
@OUT_NEEDED
def import_photosketch(weights: Path, out: Path) -> None:
    """PhotoSketch, which draws contours: its authors' latest_net_G.pth."""
    from sketchprep.models.gansketching.import_weights import import_photosketch as bring

    click.echo(bring(weights, out).text())


@click.command("stylegan2")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A built dataset, or a folder or zip with pictures."
)
@click.option(
    "--run", type=click.Path(path_type=Path), default="runs/stylegan2", show_default=True, help="Folder of the run."
)
@click.option(
    "--preset", default="tiny", show_default=True, help="paper256 (256 px), small (128 px) or tiny (64 px, for CPUs)."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the preset.")
@click.option("--max-minutes", type=float, help="Fit the number of images to this time.")
@trains
def train_stylegan2(data: Path, run: Path, **options: Any) -> None:
    """Train a StyleGAN2 on photos of any class: what `generate` draws with and sketches can customise."""
    from sketchprep.models.gansketching.training.train_stylegan2 import train_stylegan2 as fit

    result = fit(data, run, **options)
    click.echo(result.text)
    sys.exit(getattr(result, "exit_code", 0))


@click.command("gansketching")
@click.option(
    "--sketches", required=True, type=click.Path(path_type=Path), help="A folder of drawings, or one drawing."
)
@click.option(
    "--base", required=True, type=click.Path(path_type=Path), help="Run with a StyleGAN2, trained here or imported."
)
@click.option("--photos", type=click.Path(path_type=Path), help="What the base was trained on: dataset, folder or zip.")
@click.option(
    "--run", type=click.Path(path_type=Path), default="runs/gansketching", show_default=True, help="Folder of the run."
)
@click.option("--preset", default="default", show_default=True, help="default, or original for the paper's arithmetic.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the preset.")
@click.option("--max-minutes", type=float, help="Fit the number of images to this time.")
@trains
def train_gansketching(sketches: Path, run: Path, **options: Any) -> None:
    """Customise a generator with a handful of sketches: its pictures come to look like them when drawn.

    It makes a generator whose random pictures follow the sketches; it does not turn one drawing into one photo, which
    is what `synthesize` does.
    """
    from sketchprep.models.gansketching.training.train_gansketching import train_gansketching as fit

    result = fit(sketches, run, **options)
    click.echo(result.text)
    sys.exit(getattr(result, "exit_code", 0))


COMMANDS = (generate, directions)
TRAIN = (train_stylegan2, train_gansketching)
EVALUATE = ()
IMPORT = (import_stylegan2, import_photosketch)
