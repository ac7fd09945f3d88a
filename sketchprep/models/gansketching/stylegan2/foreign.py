"""StyleGAN2 weights of other authors: several layouts, brought to the names of `Generator` and `Discriminator`.

Read are the common PyTorch port's checkpoints (bare, or with ``g_ema``, ``g``, ``d``, ``latent_avg``), GANSketching's
``netG.pth`` and ``netD.pth``, NVIDIA's pickles of stylegan2-ada-pytorch and stylegan3, and safetensors.  Nothing in a
file is run.  Size, width and depth are inferred from shapes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sketchprep.errors import UserError
from sketchprep.models.gansketching.stylegan2 import nvidia_pickle
from sketchprep.models.gansketching.stylegan2.architecture import SIZES, Architecture
from sketchprep.models.gansketching.stylegan2.discriminator import Discriminator
from sketchprep.models.gansketching.stylegan2.generator import Generator

__all__ = ["Imported", "infer_architecture", "open_entries", "read_weights"]

GENERATORS = ("g_ema", "params_ema", "G_ema", "g", "G")  # in the order of preference
DISCRIMINATORS = ("d", "D")
MEANS = ("latent_avg", "w_avg")
FIR_2D = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64


@dataclass
class Imported:
    """What was found in a file.

    Attributes
    ----------
    generator, discriminator : Generator, Discriminator or None
    w_mean : Tensor or None
        Shape (style_dim,), where the file has it.
    taken, left : dict
        What became of the file's entries: entry to a number of tensors, and entry to a reason.
    """

    generator: Generator | None = None
    discriminator: Discriminator | None = None
    w_mean: Tensor | None = None
    taken: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def read_weights(path: str | Path) -> Imported:
    """Read a file of any of the layouts above.

    Raises
    ------
    UserError
        If the file is missing, of another kind, damaged, or its tensors are not those of one StyleGAN2.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    entries, found = open_entries(path), Imported()
    generator = next((name for name in ("", *GENERATORS) if name in entries and _is_generator(entries[name])), None)
    discriminator = next(
        (name for name in ("", *DISCRIMINATORS) if name in entries and _is_discriminator(entries[name])), None
    )
    if generator is None and discriminator is None:
        raise UserError(
            f"{path}: holds no network of StyleGAN2; expected tensors such as conv1.conv.weight (generator) or "
            "final_linear.1.weight (discriminator), bare or under g_ema, g, d"
        )
    if generator is not None:
        found.generator = _build_generator(entries[generator], path)
        found.taken[generator or "generator"] = len(found.generator.state_dict())
    if discriminator is not None:
        found.discriminator = _build_discriminator(entries[discriminator], path)
        found.taken[discriminator or "discriminator"] = len(found.discriminator.state_dict())
    for name in MEANS:
        mean = entries.get(name)
        if isinstance(mean, Tensor) and found.generator and mean.numel() == found.generator.architecture.style_dim:
            found.w_mean = mean.detach().float().reshape(-1)
            found.taken[name] = 1
    for name in entries:
        if name not in found.taken and name not in (generator, discriminator):
            found.left[name] = "not needed" if name not in GENERATORS else f"{generator} is taken instead"
    return found


def open_entries(path: Path) -> dict[str, Any]:
    """The entries of a foreign file: name to state dict, tensor or whatever else; a bare state dict is the entry ''.

    Raises
    ------
    UserError
        If it cannot be read without running what lies in it.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return {"": load_file(path)}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: is no safetensors file ({error})") from error
    if start[:1] == b"\x80" and path.suffix == ".pkl":
        return _nvidia_entries(path)
    if start[:1] != b"\x80" and start != b"PK\x03\x04":
        raise UserError(f"{path}: is no checkpoint of PyTorch, no pickle and no safetensors file")
    try:
        with warnings.catch_warnings():  # torch's advice to its own developers
            warnings.simplefilter("ignore")
            content = torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for what it cannot or must not read
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise UserError(
            f"{path}: cannot be read as weights alone ({reason}); files with options or "
            "optimisers beside them, such as *_net_misc.pth, hold no generator"
        ) from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected tensors by name")
    bare = all(isinstance(value, Tensor) for value in content.values())
    return {"": dict(content)} if bare else dict(content)


def _is_generator(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "conv1.conv.weight" in entry and "style.1.weight" in entry


def _is_discriminator(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "final_linear.1.weight" in entry and "final_conv.0.weight" in entry


def infer_architecture(tensors: Mapping[str, Tensor]) -> Architecture:
    """Size, width and depth of a generator or discriminator from its tensors' shapes.

    Raises
    ------
    ValueError
        If they fit no StyleGAN2; it says what does not.
    """
    if "conv1.conv.weight" in tensors:
        blocks = len({name.split(".")[1] for name in tensors if name.startswith("to_rgbs.")})
        channels = {4: tensors["conv1.conv.weight"].shape[1]}
        for block in range(blocks):
            channels[8 * 2**block] = tensors[f"convs.{2 * block}.conv.weight"].shape[1]
        layers = {int(name.split(".")[1]) for name in tensors if re.fullmatch(r"style\.\d+\.weight", name)}
        more: dict[str, Any] = {
            "style_dim": tensors["style.1.weight"].shape[0],
            "mapping_layers": max(layers),
            "w_shift": any(name.endswith(".w_shift") for name in tensors),
        }
    else:
        blocks = len({name.split(".")[1] for name in tensors if name.startswith("convs.")}) - 1
        size = 4 * 2**blocks
        channels = {size: tensors["convs.0.0.weight"].shape[0]}
        for block in range(1, blocks + 1):
            channels[size // 2**block] = tensors[f"convs.{block}.conv2.1.weight"].shape[0]
        more = {}
    size, most = 4 * 2**blocks, max(channels.values())
    if size not in SIZES:
        raise ValueError(f"{blocks} doublings make {size} px")
    base = max(side * count for side, count in channels.items() if count < most or side == size)
    net = Architecture(size, channel_base=base, channel_max=most, **more)
    odd = next((side for side, count in channels.items() if net.channels(side) != count), None)
    if odd is not None:
        raise ValueError(f"{channels[odd]} channels at {odd} px, where {net.channels(odd)} follow from the others")
    return net


def _build_generator(tensors: Mapping[str, Tensor], path: Path) -> Generator:
    tensors = _without_filters(tensors, path)
    try:
        net = Generator(infer_architecture(tensors))
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path}: is no generator of StyleGAN2 ({error})") from error
    # Early files lack the stored noise: what is drawn here is as good as what was drawn there.
    missing = {name: value for name, value in net.state_dict().items() if name.startswith("noises.")}
    return _fill(net, missing | dict(tensors), path, "generator")


def _build_discriminator(tensors: Mapping[str, Tensor], path: Path) -> Discriminator:
    tensors = _without_filters(tensors, path)
    try:
        net = Discriminator(infer_architecture(tensors))
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path}: is no discriminator of StyleGAN2 ({error})") from error
    return _fill(net, tensors, path, "discriminator")


def _fill(net: Any, tensors: Mapping[str, Tensor], path: Path, kind: str) -> Any:
    expected = net.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        ours = tuple(expected[name].shape) if name in expected else None
        theirs = tuple(tensors[name].shape) if name in tensors else None
        if ours != theirs:
            raise UserError(
                f"{path}: {name} of the {kind} has shape {theirs or 'missing'}, "
                f"expected {ours or 'nothing of that name'}"
            )
        if not torch.isfinite(tensors[name]).all():
            raise UserError(f"{path}: {name} of the {kind} has numbers that are not finite; the file is damaged")
    net.load_state_dict({name: value.float() for name, value in tensors.items()})
    return net


def _without_filters(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Drop the resampling filters, which are constants here; refuse another filter."""
    kept = {}
    for name, value in tensors.items():
        if not name.endswith(".kernel"):
            kept[name] = value
        elif value.shape != (4, 4) or not torch.allclose(value.float() / value.float().sum(), FIR_2D, atol=1e-4):
            raise UserError(f"{path}: {name} is another resampling filter than [1, 3, 3, 1]")
    return kept


def _nvidia_entries(path: Path) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for name, record in nvidia_pickle.read_pickle(path).items():
        tensors = nvidia_pickle.tensors_of(record)
        if "mapping.w_avg" in tensors and name in ("G_ema", "G"):
            entries.setdefault("w_avg", tensors["mapping.w_avg"])
        if name in ("G", "G_ema", "D"):
            entries[name] = _rename_nvidia(tensors, path)
        else:
            entries[name] = None
    return entries


# Parts of NVIDIA's names, and how each is called here.
_GENERATOR_TAILS = {
    "weight": "conv.weight",
    "bias": "activate.bias",
    "affine.weight": "conv.modulation.weight",
    "affine.bias": "conv.modulation.bias",
    "noise_strength": "noise.weight",
}
_RGB_TAILS = {
    "weight": "conv.weight",
    "bias": "bias",
    "affine.weight": "conv.modulation.weight",
    "affine.bias": "conv.modulation.bias",
}


def _rename_nvidia(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    if any(name.startswith(("mapping.embed", "embed")) for name in tensors):
        raise UserError(f"{path}: the network has classes; only unconditional ones can be taken")
    size = max(int(m[1]) for name in tensors if (m := re.match(r"(?:synthesis\.)?b(\d+)\.", name)))
    renamed = {}
    for name, value in tensors.items():
        if name.endswith("resample_filter"):
            if value.shape != (4, 4) or not torch.allclose(value.float() / value.float().sum(), FIR_2D, atol=1e-4):
                raise UserError(f"{path}: {name} is another resampling filter than [1, 3, 3, 1]")
        elif name != "mapping.w_avg":
            ours, shaped = _nvidia_generator(name, value) or _nvidia_discriminator(name, value, size) or ("", value)
            if not ours:
                raise UserError(
                    f"{path}: {name} belongs to no StyleGAN2 with skip generator and residual discriminator"
                )
            renamed[ours] = shaped
    return renamed


def _nvidia_generator(name: str, value: Tensor) -> tuple[str, Tensor] | None:
    if m := re.fullmatch(r"mapping\.fc(\d+)\.(weight|bias)", name):
        return f"style.{int(m[1]) + 1}.{m[2]}", value
    m = re.fullmatch(r"synthesis\.b(\d+)\.(const|conv0|conv1|torgb)(?:\.(.+))?", name)
    if m is None:
        return None
    level = int(m[1]).bit_length() - 1  # 2 at 4 px
    part, tail = m[2], m[3]
    if part == "const":
        return "input.input", value[None]
    if part == "torgb":
        layer = "to_rgb1" if level == 2 else f"to_rgbs.{level - 3}"
        if tail not in _RGB_TAILS:
            return None
        value = value[None] if tail == "weight" else value.reshape(1, 3, 1, 1) if tail == "bias" else value
        return f"{layer}.{_RGB_TAILS[tail]}", value
    second = part == "conv1"
    if tail == "noise_const":
        return f"noises.noise_{0 if level == 2 else 2 * level - 5 + second}", value[None, None]
    if tail not in _GENERATOR_TAILS:
        return None
    layer = "conv1" if level == 2 else f"convs.{2 * (level - 3) + second}"
    value = value[None] if tail == "weight" else value.reshape(1) if tail == "noise_strength" else value
    return f"{layer}.{_GENERATOR_TAILS[tail]}", value


def _nvidia_discriminator(name: str, value: Tensor, size: int) -> tuple[str, Tensor] | None:
    m = re.fullmatch(r"b(\d+)\.(fromrgb|conv0|conv1|skip|conv|fc|out)\.(weight|bias)", name)
    if m is None:
        return None
    side, part, tail = int(m[1]), m[2], m[3]
    bias = tail == "bias"
    block = size.bit_length() - side.bit_length() + 1
    known = {
        "fromrgb": ("convs.0.0.weight", "convs.0.1.bias"),
        "conv0": (f"convs.{block}.conv1.0.weight", f"convs.{block}.conv1.1.bias"),
        "conv1": (f"convs.{block}.conv2.1.weight", f"convs.{block}.conv2.2.bias"),
        "skip": (f"convs.{block}.skip.1.weight", ""),
        "conv": ("final_conv.0.weight", "final_conv.1.bias"),
        "fc": ("final_linear.0.weight", "final_linear.0.bias"),
        "out": ("final_linear.1.weight", "final_linear.1.bias"),
    }
    return (known[part][bias], value) if known[part][bias] else None
