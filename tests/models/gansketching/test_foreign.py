"""StyleGAN2 files of other authors: what is taken, what is left, what is refused, and that nothing in them runs."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from rule_weights import fill
from safetensors.torch import save_file

from sketchprep.errors import UserError
from sketchprep.models.gansketching.stylegan2 import Architecture, Discriminator, Generator
from sketchprep.models.gansketching.stylegan2.foreign import infer_architecture, read_weights

NETS = (
    Architecture(size=32, style_dim=32, mapping_layers=4, channel_base=256, channel_max=32),
    Architecture(size=64, style_dim=16, mapping_layers=2, channel_base=512, channel_max=32),
    Architecture(size=16, style_dim=8, mapping_layers=1, channel_base=64, channel_max=64),
)
NET = NETS[0]
KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 16


@pytest.fixture
def generator() -> Generator:
    return fill(Generator(NET), "G/")


@pytest.fixture
def discriminator() -> Discriminator:
    return fill(Discriminator(NET), "D/")


def same(found: torch.nn.Module | None, wanted: torch.nn.Module) -> None:
    assert found is not None
    ours, theirs = found.state_dict(), wanted.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("net", NETS)
def test_the_architecture_follows_from_shapes(net: Architecture) -> None:
    found = infer_architecture(Generator(net).state_dict())
    assert [found.channels(side) for side in net.resolutions] == [net.channels(side) for side in net.resolutions]
    assert (found.size, found.style_dim, found.mapping_layers) == (net.size, net.style_dim, net.mapping_layers)
    found = infer_architecture(Discriminator(net).state_dict())
    assert [found.channels(side) for side in net.resolutions] == [net.channels(side) for side in net.resolutions]


def test_a_training_checkpoint(tmp_path: Path, generator: Generator, discriminator: Discriminator) -> None:
    content = {
        "g": Generator(NET).state_dict(),
        "g_ema": generator.state_dict() | {"convs.0.conv.blur.kernel": KERNEL, "to_rgbs.0.upsample.kernel": KERNEL},
        "d": discriminator.state_dict(),
        "latent_avg": torch.arange(32.0),
        "ada_aug_p": 0.1,
    }
    torch.save(content, tmp_path / "550000.pt")
    found = read_weights(tmp_path / "550000.pt")
    same(found.generator, generator)
    same(found.discriminator, discriminator)
    assert torch.equal(found.w_mean, torch.arange(32.0))
    assert set(found.taken) == {"g_ema", "d", "latent_avg"}
    assert found.left == {"g": "g_ema is taken instead", "ada_aug_p": "not needed"}


def test_bare_files_and_safetensors(tmp_path: Path, generator: Generator, discriminator: Discriminator) -> None:
    torch.save(generator.state_dict(), tmp_path / "netG.pth")
    torch.save(discriminator.state_dict(), tmp_path / "netD.pth")
    save_file(generator.state_dict(), tmp_path / "g.safetensors")
    same(read_weights(tmp_path / "netG.pth").generator, generator)
    same(read_weights(tmp_path / "netD.pth").discriminator, discriminator)
    same(read_weights(tmp_path / "g.safetensors").generator, generator)


def test_early_files_lack_the_noise(tmp_path: Path, generator: Generator) -> None:
    state = {name: value for name, value in generator.state_dict().items() if not name.startswith("noises.")}
    torch.save({"g_ema": state}, tmp_path / "old.pt")
    found = read_weights(tmp_path / "old.pt").generator
    assert found is not None
    assert torch.equal(found.convs[1].conv.weight, generator.convs[1].conv.weight)


def test_a_customised_generator_keeps_its_shift(tmp_path: Path) -> None:
    net = fill(Generator(Architecture(**{**NET.__dict__, "w_shift": True})), "G/")
    torch.save(net.state_dict(), tmp_path / "shifted.pth")
    same(read_weights(tmp_path / "shifted.pth").generator, net)


# NVIDIA's pickles, made here with modules of the same names; the original's source text has no place in a test.


def nvidia_names(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A network's tensors as NVIDIA names and shapes them, by a table written from their side."""
    state, out = net.state_dict(), {}
    if isinstance(net, Generator):
        for layer in range(NET.mapping_layers):
            for kind in ("weight", "bias"):
                out[f"mapping.fc{layer}.{kind}"] = state[f"style.{layer + 1}.{kind}"]
        out["mapping.w_avg"] = torch.arange(float(NET.style_dim))
        out["synthesis.b4.const"] = state["input.input"][0]
        layers = {"b4.conv1": ("conv1", 0), "b8.conv0": ("convs.0", 1), "b8.conv1": ("convs.1", 2)}
        layers |= {"b16.conv0": ("convs.2", 3), "b16.conv1": ("convs.3", 4)}
        layers |= {"b32.conv0": ("convs.4", 5), "b32.conv1": ("convs.5", 6)}
        for theirs, (ours, noise) in layers.items():
            at = f"synthesis.{theirs}"
            out[f"{at}.weight"] = state[f"{ours}.conv.weight"][0]
            out[f"{at}.affine.weight"] = state[f"{ours}.conv.modulation.weight"]
            out[f"{at}.affine.bias"] = state[f"{ours}.conv.modulation.bias"]
            out[f"{at}.noise_strength"] = state[f"{ours}.noise.weight"][0]
            out[f"{at}.noise_const"] = state[f"noises.noise_{noise}"][0, 0]
            out[f"{at}.bias"] = state[f"{ours}.activate.bias"]
            out[f"{at}.resample_filter"] = KERNEL / 4
        for side, ours in ((4, "to_rgb1"), (8, "to_rgbs.0"), (16, "to_rgbs.1"), (32, "to_rgbs.2")):
            at = f"synthesis.b{side}.torgb"
            out[f"{at}.weight"] = state[f"{ours}.conv.weight"][0]
            out[f"{at}.bias"] = state[f"{ours}.bias"].reshape(3)
            out[f"{at}.affine.weight"] = state[f"{ours}.conv.modulation.weight"]
            out[f"{at}.affine.bias"] = state[f"{ours}.conv.modulation.bias"]
        return out
    out["b32.fromrgb.weight"], out["b32.fromrgb.bias"] = state["convs.0.0.weight"], state["convs.0.1.bias"]
    for block, side in ((1, 32), (2, 16), (3, 8)):
        for theirs, ours in (("conv0", "conv1.0"), ("conv1", "conv2.1"), ("skip", "skip.1")):
            out[f"b{side}.{theirs}.weight"] = state[f"convs.{block}.{ours}.weight"]
        out[f"b{side}.conv0.bias"] = state[f"convs.{block}.conv1.1.bias"]
        out[f"b{side}.conv1.bias"] = state[f"convs.{block}.conv2.2.bias"]
    for theirs, ours in (("conv", "final_conv.0"), ("fc", "final_linear.0"), ("out", "final_linear.1")):
        out[f"b4.{theirs}.weight"] = state[f"{ours}.weight"]
        bias = "final_conv.1.bias" if theirs == "conv" else f"{ours}.bias"
        out[f"b4.{theirs}.bias"] = state[bias]
    return out


class Persistent:
    """Pickles as the original's persistent objects do: a call with a dict that carries source text."""

    def __init__(self, class_name: str, tensors: dict[str, torch.Tensor]) -> None:
        self.class_name, self.tensors = class_name, tensors

    def __reduce__(self) -> tuple:
        module = sys.modules["torch_utils.persistence"]
        own = {name: value for name, value in self.tensors.items() if "." not in name}
        children = OrderedDict()
        for head in dict.fromkeys(name.split(".")[0] for name in self.tensors if "." in name):
            inner = {n.split(".", 1)[1]: v for n, v in self.tensors.items() if n.startswith(f"{head}.")}
            children[head] = Persistent("Layer", inner)
        buffers = {"w_avg", "noise_const", "resample_filter"}
        state = {
            "_parameters": OrderedDict((n, torch.nn.Parameter(v)) for n, v in own.items() if n not in buffers),
            "_buffers": OrderedDict((n, v) for n, v in own.items() if n in buffers),
            "_modules": children,
        }
        meta = {"type": "class", "module_src": "raise SystemExit('the source ran')", "class_name": self.class_name}
        return module._reconstruct_persistent_obj, ({**meta, "state": state},)


@pytest.fixture
def nvidia_module(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = types.ModuleType("torch_utils"), types.ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta: dict) -> None:
        raise AssertionError("the original's function must not be called")

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_utils", package)
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)


def test_nvidia_pickles(
    tmp_path: Path, nvidia_module: None, generator: Generator, discriminator: Discriminator
) -> None:
    content = {
        "G": Persistent("Generator", nvidia_names(Generator(NET))),
        "D": Persistent("Discriminator", nvidia_names(discriminator)),
        "G_ema": Persistent("Generator", nvidia_names(generator)),
        "augment_pipe": None,
        "training_set_kwargs": {"path": "faces.zip"},
    }
    path = tmp_path / "network-snapshot-000200.pkl"
    path.write_bytes(pickle.dumps(content))
    found = read_weights(path)
    same(found.generator, generator)
    same(found.discriminator, discriminator)
    assert torch.equal(found.w_mean, torch.arange(32.0))


class Calls:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    import os

    path, mark = tmp_path / "evil.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"G_ema": Calls(os.system, f"touch {mark}")}))
    with pytest.raises(UserError, match=r"evil\.pkl: is no pickle .* read safely"):
        read_weights(path)
    torch.save({"g_ema": Calls(os.system, f"touch {mark}")}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="cannot be read as weights alone"):
        read_weights(tmp_path / "evil.pt")
    assert not mark.exists()


def damaged(state: dict, kind: str) -> dict:
    state = {name: value.clone() for name, value in state.items()}
    if kind == "missing":
        del state["convs.3.conv.weight"]
    elif kind == "shape":
        state["convs.3.activate.bias"] = torch.zeros(5)
    elif kind == "extra":
        state["convs.9.unknown"] = torch.zeros(1)
    elif kind == "not finite":
        state["conv1.conv.weight"][0, 0, 0, 0, 0] = float("nan")
    elif kind == "filter":
        state["convs.0.conv.blur.kernel"] = torch.eye(4)
    return state


@pytest.mark.parametrize("kind", ["missing", "shape", "extra", "not finite", "filter"])
def test_what_does_not_fit_is_named(tmp_path: Path, generator: Generator, kind: str) -> None:
    torch.save(damaged(generator.state_dict(), kind), tmp_path / "odd.pth")
    with pytest.raises(UserError, match=r"odd\.pth"):
        read_weights(tmp_path / "odd.pth")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04K\x01.", pickle.dumps({"a": 1})])
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    for suffix in (".pt", ".pkl", ".safetensors"):
        path = tmp_path / f"some{suffix}"
        path.write_bytes(content)
        with pytest.raises(UserError, match="some"):
            read_weights(path)
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, buffer)
    (tmp_path / "linear.pt").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="holds no network of StyleGAN2"):
        read_weights(tmp_path / "linear.pt")
