"""Other authors' StyleGAN2 and PhotoSketch files as files of ours, with a report of what was taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sketchprep.core.workdir import disk_errors
from sketchprep.errors import UserError
from sketchprep.io.files import atomic
from sketchprep.models.gansketching import FILE
from sketchprep.models.gansketching.model import save_stylegan2
from sketchprep.models.gansketching.stylegan2.discriminator import Discriminator
from sketchprep.models.gansketching.stylegan2.foreign import Imported, open_entries, read_weights

__all__ = ["ImportReport", "import_photosketch", "import_stylegan2"]


@dataclass(frozen=True)
class ImportReport:
    """What became of the files.

    Attributes
    ----------
    path : Path
        The model's file.
    lines : tuple of str
        The architecture, what was taken, and what was left and why.
    """

    path: Path
    lines: tuple[str, ...]

    def text(self) -> str:
        """As the command prints it."""
        return "\n".join((f"{self.path}", *(f"  {line}" for line in self.lines)))


def import_stylegan2(weights: str | Path, out: str | Path, *, discriminator: str | Path | None = None) -> ImportReport:
    """Bring a generator, and a discriminator if there is one, into a folder that is used like a run.

    Parameters
    ----------
    weights : path
        See `sketchprep.models.gansketching.stylegan2.foreign.read_weights` for the layouts.
    out : path
        Folder of the run; one that has a model already is refused.
    discriminator : path, optional
        A file of its own, such as ``netD.pth`` beside ``netG.pth``.

    Raises
    ------
    UserError
        If a file cannot be read, holds no generator, or the networks are not of one architecture.
    """
    out = Path(out)
    if (out / FILE).exists():
        raise UserError(f"-o {out}: has a model already; choose another folder")
    found = read_weights(weights)
    if found.generator is None:
        raise UserError(
            f"{weights}: holds a discriminator alone; name the generator's file, and this one with --discriminator"
        )
    critic = found.discriminator
    if discriminator is not None:
        critic = read_weights(discriminator).discriminator
        if critic is None:
            raise UserError(f"--discriminator {discriminator}: holds no discriminator")
    _check_sizes(found, critic)
    facts = {"imported_from": Path(weights).name}
    path = save_stylegan2(out, found.generator, discriminator=critic, w_mean=found.w_mean, facts=facts)
    return ImportReport(path, tuple(_lines(found, critic)))


def _check_sizes(found: Imported, critic: Discriminator | None) -> None:
    assert found.generator is not None
    if critic is None:
        return
    ours, theirs = found.generator.architecture, critic.architecture
    if [ours.channels(side) for side in ours.resolutions] != [theirs.channels(side) for side in theirs.resolutions]:
        raise UserError(
            f"the generator draws {ours.size} px with {ours.channels(ours.size)} channels, the discriminator looks at "
            f"{theirs.size} px with {theirs.channels(theirs.size)}: they are not of one training"
        )


def _lines(found: Imported, critic: Discriminator | None) -> list[str]:
    assert found.generator is not None
    net = found.generator.architecture
    lines = [
        f"StyleGAN2 of {net.size} px, {net.mapping_layers} mapping layers, {net.channels(net.size)} to "
        f"{net.channel_max} channels, w of {net.style_dim}" + (", with a W shift" if net.w_shift else "")
    ]
    lines += [f"taken: {name}, {count} tensors" for name, count in found.taken.items()]
    if critic is None:
        lines.append("no discriminator: training makes one first")
    if found.w_mean is None:
        lines.append("no mean of w: computed from 4,096 z")
    return lines + [f"left: {name}, {reason}" for name, reason in found.left.items()]


def import_photosketch(weights: str | Path, out: str | Path) -> ImportReport:
    """Bring the weights of PhotoSketch's generator (``latest_net_G.pth``) into a safetensors file.

    Parameters
    ----------
    weights : path
        A state dict of its authors or of GANSketching's.
    out : path
        The file to be written, or a folder for ``photosketch.safetensors``.

    Raises
    ------
    UserError
        If the file cannot be read, holds another network, or the result cannot be written.
    """
    from sketchprep.nn.photosketch import PhotoSketch, width_of
    from sketchprep.training.checkpoint import fill

    path, out = Path(weights), Path(out)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    tensors = open_entries(path).get("", {})
    width = width_of(tensors)
    if width is None:
        raise UserError(f"{path}: holds no PhotoSketch; its first tensor is model.1.weight, of 7×7×3")
    net = PhotoSketch(width)
    fill(net, tensors, str(path))
    out = out if out.suffix == ".safetensors" else out / "photosketch.safetensors"
    if out.exists():
        raise UserError(f"-o {out}: is there already; choose another file")
    from safetensors.torch import save

    with disk_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic(out) as temporary:
            temporary.write_bytes(save(net.state_dict()))
    return ImportReport(out, (f"PhotoSketch of width {width}, {len(tensors)} tensors taken",))
