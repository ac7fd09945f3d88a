"""Simo-Serra's network: the layer list, and every naming of its converted weights that circulates."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.nn.simo_serra import MEAN, STD, SimoSerra, load_any, load_simo_serra, sketch, sketch_any
from sketchprep.nn.simplifier import Simplifier, save_simplifier

# The published table: "in>out", "v" halves, "^" doubles; the first kernel is 5x5.
RELEASED = (
    "1>48v 48>128 128>128 128>128v 128>256 256>256 256>256v 256>512 512>1024 1024>1024 1024>1024 1024>1024 "
    "1024>512 512>256 256>256^ 256>256 256>128 128>128^ 128>128 128>48 48>48^ 48>24 24>1"
)
PAPER = RELEASED.replace("128>128v 128>256 256>256", "128>256v 256>256 256>256")


def reference(table: str = RELEASED) -> nn.Sequential:
    """The plain sequence of layers, as the conversions in circulation write it."""
    layers: list[nn.Module] = []
    for number, word in enumerate(table.split()):
        inputs, outputs = (int(n) for n in word.rstrip("v^").split(">"))
        if word.endswith("^"):
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1))
        else:
            kernel = 5 if number == 0 else 3
            layers.append(nn.Conv2d(inputs, outputs, kernel, 2 if word.endswith("v") else 1, kernel // 2))
        layers.append(nn.ReLU())
    layers[-1] = nn.Sigmoid()
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def original() -> nn.Sequential:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = reference()
    for p in net.parameters():
        if p.ndim == 4:
            nn.init.kaiming_uniform_(p, nonlinearity="relu")
    return net.eval()


def page(height: int = 41, width: int = 50) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (255 - 200 * (rng.random((1, height, width)) < 0.1)).astype(np.uint8)


def expected(net: nn.Module, image: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(image)[:, None].float() / 255
    height, width = image.shape[1:]
    x = nn.functional.pad((x - MEAN) / STD, (0, -width % 8, 0, -height % 8), mode="replicate")
    with torch.inference_mode():
        return np.rint(255 * net(x)[:, 0, :height, :width].numpy()).astype(np.uint8)


def nested(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Layers in seven blocks: layer1.0.weight, layer1.2.weight, …, layer7.2.bias."""
    blocks, names = (4, 3, 5, 4, 3, 2, 2), {}
    numbers = iter(range(0, 46, 2))
    for block, count in enumerate(blocks, 1):
        for inner in range(count):
            names[str(next(numbers))] = f"layer{block}.{2 * inner}"
    return {f"{names[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in state.items()}


NAMINGS: dict[str, Callable[[dict[str, Tensor]], dict]] = {
    "sequence": lambda state: dict(state),
    "blocks": nested,
    "layers": lambda state: {f"layers.{k}": v for k, v in state.items()},
    "parallel": lambda state: {f"module.model.{k}": v for k, v in state.items()},
    "with-numbers": lambda state: {"type": "gan", "model": dict(state), "mean": MEAN, "std": STD},
    "under-state-dict": lambda state: {"state_dict": dict(state), "epoch": 3},
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_converted_weights_load_whatever_their_names(original: nn.Sequential, tmp_path: Path, naming: str) -> None:
    torch.save(NAMINGS[naming](original.state_dict()), tmp_path / "model_gan.pth")
    net = load_any(tmp_path / "model_gan.pth")
    result = sketch_any(net, page())
    assert isinstance(net, SimoSerra)
    assert result.std() > 3
    assert np.abs(result.astype(int) - expected(original, page())).max() <= 1


@pytest.mark.parametrize("naming", ["sequence", "blocks"])
def test_safetensors_lose_their_order_and_still_load(original: nn.Sequential, tmp_path: Path, naming: str) -> None:
    save_file(NAMINGS[naming](original.state_dict()), tmp_path / "w.safetensors")
    result = sketch(load_any(tmp_path / "w.safetensors"), page())  # type: ignore[arg-type]
    assert np.abs(result.astype(int) - expected(original, page())).max() <= 1


def test_the_papers_own_table_loads_too(tmp_path: Path) -> None:
    torch.save(reference(PAPER).state_dict(), tmp_path / "w.pth")
    assert load_simo_serra(tmp_path / "w.pth").layers[3].weight.shape == (256, 128, 3, 3)


def test_mean_and_deviation_come_from_the_file_or_the_caller(original: nn.Sequential, tmp_path: Path) -> None:
    torch.save({"model": original.state_dict(), "mean": 0.9, "std": torch.tensor(0.25)}, tmp_path / "w.pth")
    net = load_simo_serra(tmp_path / "w.pth")
    assert (net.mean, net.std) == (0.9, 0.25)
    assert load_simo_serra(tmp_path / "w.pth", mean=0.5).mean == 0.5


def test_batch_normalisation_is_folded(original: nn.Sequential, tmp_path: Path) -> None:
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    for layer in original:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.shape[0] != 1:
            norm = nn.BatchNorm2d(layer.bias.numel())
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.7, 1.4)
            nn.init.normal_(norm.bias, 0, 0.1)
            layers.append(norm)
    normed = nn.Sequential(*layers).eval()
    torch.save(normed.state_dict(), tmp_path / "w.pth")
    result = sketch(load_simo_serra(tmp_path / "w.pth"), page())
    assert np.abs(result.astype(int) - expected(normed, page())).max() <= 1
    state = normed.state_dict()
    torch.save({**state, "4.running_mean": torch.zeros(7), "4.running_var": torch.ones(7)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"4\.running_mean does not fit 3\."):
        load_simo_serra(tmp_path / "w.pth")


def test_any_size_comes_back_and_a_batch_changes_nothing(original: nn.Sequential, tmp_path: Path) -> None:
    torch.save(original.state_dict(), tmp_path / "w.pth")
    net = load_simo_serra(tmp_path / "w.pth")
    images = np.concatenate([page(33, 17), 255 - page(33, 17)])
    together = sketch(net, images)
    assert together.shape == (2, 33, 17)
    np.testing.assert_array_equal(together[1], sketch(net, images[1:])[0])


def test_the_first_tensor_that_does_not_fit_is_named(original: nn.Sequential, tmp_path: Path) -> None:
    state, file = dict(original.state_dict()), tmp_path / "w.pth"
    cases = [
        ({**state, "14.weight": torch.zeros(512, 256, 1, 1)}, r"14\.weight has shape \(512, 256, 1, 1\), expected"),
        ({k: v for k, v in state.items() if k != "6.bias"}, r"6\.bias is missing"),
        ({k: v for k, v in state.items() if not k.startswith("44.")}, "22 convolutions of 23"),
        ({**state, "46.weight": torch.zeros(1, 1, 3, 3)}, "1 convolutions too many"),
        ({"fc.weight": torch.zeros(10, 10)}, "0 convolutions of 23"),
        ({**state, "2.bias": torch.full((128,), torch.nan)}, r"2\.weight or 2\.bias has values that are not finite"),
    ]
    for content, sentence in cases:
        torch.save(content, file)
        with pytest.raises(UserError, match=sentence):
            load_simo_serra(file)


class Hostile:
    def __reduce__(self) -> tuple:
        return os.system, ("touch harmed",)


def test_no_code_in_a_weight_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Hostile()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="plain state dict"):
        load_any(tmp_path / "w.pth")
    assert not (tmp_path / "harmed").exists()


def test_unreadable_files_are_one_sentence(tmp_path: Path) -> None:
    for name, data in {"a.pth": b"", "b.pth": b"PK\x03\x04 nothing", "c.pt": b"<html>", "d.safetensors": b"xx"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match="cannot be read as weights"):
            load_any(tmp_path / name)
    # Torch's reader says of the one no more than the code of its first letter, of the other how to trust it.
    for name, data in {"e.pth": b"hello", "notes.md": b"# Notes\n\nNo weights in here.\n"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=r"cannot be read as weights \([a-z' ]+\); name"):
            load_any(tmp_path / name)
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_any(tmp_path / "missing.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds a list"):
        load_any(tmp_path / "list.pth")


def test_our_own_weights_are_told_apart(tmp_path: Path) -> None:
    save_simplifier(Simplifier(8), tmp_path / "w.safetensors")
    net = load_any(tmp_path / "w.safetensors")
    assert isinstance(net, Simplifier)
    assert sketch_any(net, page()).shape == page().shape
