"""The simplifier's network: sizes, batches, shifts, tiles, folding, weight files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sketchprep.errors import UserError
from sketchprep.nn import tiling
from sketchprep.nn.simplifier import Simplifier, fold, load_simplifier, save_simplifier, simplify, sketch


def lively(width: int = 8, context: int = 0) -> Simplifier:
    """An untrained network whose normalisations do something and whose results use the whole range."""
    torch.manual_seed(3)
    net = Simplifier(width, context)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.8, 2)
            nn.init.normal_(module.bias, 0, 0.3)
    nn.init.normal_(net.head.weight, 0, 1.0)
    return net.eval()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_simplifier(lively(), path)
    return path


@pytest.fixture(params=[0, 1])
def seeing(request: pytest.FixtureRequest, tmp_path: Path) -> Simplifier:
    """With and without context."""
    save_simplifier(lively(context=request.param), tmp_path / "seeing.safetensors")
    return load_simplifier(tmp_path / "seeing.safetensors")


def drawing(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    page = np.full((height, width), 255, np.uint8)
    for x0, y0, x1, y1 in rng.integers(0, (width, height, width, height), (height * width // 2000 + 2, 4)):
        cv2.line(page, (int(x0), int(y0)), (int(x1), int(y1)), int(rng.integers(0, 120)), 2, cv2.LINE_AA)
    return page


def test_the_shipped_width_fits_its_budget(tmp_path: Path) -> None:
    net = Simplifier()
    assert sum(p.numel() for p in net.parameters()) <= 900_000
    save_simplifier(net, tmp_path / "w.safetensors", notes={"licence": "Apache-2.0"})
    assert (tmp_path / "w.safetensors").stat().st_size <= 4_000_000


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (100, 64), (65, 129)])
def test_every_size_comes_back(weights: Path, size: tuple[int, int]) -> None:
    net = load_simplifier(weights)
    result = simplify(net, drawing(*size)[None])
    assert result.shape == (1, *size)
    assert result.dtype == np.uint8


def test_padding_repeats_the_edge_and_is_cropped(weights: Path) -> None:
    net = load_simplifier(weights)
    image = drawing(61, 90)
    padded = np.pad(image, ((0, 3), (0, 6)), mode="edge")
    np.testing.assert_array_equal(simplify(net, image[None])[0], simplify(net, padded[None])[0, :61, :90])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_batch_gives_what_each_picture_gives_alone(weights: Path, dtype: str) -> None:
    net = load_simplifier(weights, dtype=dtype)
    images = np.stack([drawing(70, 90, seed) for seed in range(3)])
    together = simplify(net, images)
    assert together.std() > 3
    for image, result in zip(images, together, strict=True):
        np.testing.assert_array_equal(simplify(net, image[None])[0], result)
    assert simplify(net, images[:0]).shape == (0, 70, 90)


def test_the_batched_forward_agrees_too(weights: Path) -> None:
    net = load_simplifier(weights)
    x = torch.from_numpy(np.stack([drawing(64, 64, seed) for seed in range(3)]))[:, None].float() / 255
    with torch.inference_mode():
        together, alone = net(x), torch.cat([net(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shift", [8, 16])
def test_a_shifted_drawing_gives_the_shifted_result(seeing: Simplifier, shift: int) -> None:
    net, reach = seeing, seeing.reach
    image = drawing(304, 312)
    moved = np.full((304 + shift, 312 + shift), 255, np.uint8)
    moved[shift:, shift:] = image
    still, shifted = simplify(net, image[None])[0], simplify(net, moved[None])[0, shift:, shift:]
    inside = (slice(reach, -reach), slice(reach, -reach))
    assert still[inside].std() > 1
    assert np.abs(still[inside].astype(int) - shifted[inside]).max() <= 1


def test_nothing_beyond_its_reach_matters(seeing: Simplifier) -> None:
    net = seeing
    image = drawing(32, 400)
    changed = image.copy()
    changed[:, 200:] = 255 - changed[:, 200:]
    first, second = simplify(net, np.stack([image, changed]))
    np.testing.assert_array_equal(first[:, : 200 - net.reach], second[:, : 200 - net.reach])
    assert (first[:, 200:] != second[:, 200:]).any()


def test_context_widens_what_is_seen_and_begins_as_nothing() -> None:
    plain, wide = Simplifier(8).eval(), Simplifier(8, 3).eval()
    assert (plain.reach, wide.reach) == (96, 96 + 8 * (4 + 8 + 16))
    assert not wide.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    x = torch.rand(1, 1, 64, 48)
    with torch.inference_mode():
        torch.testing.assert_close(wide(x), plain(x))
    changed = torch.from_numpy(drawing(32, 800)).float()[None, None] / 255
    other = changed.clone()
    other[..., 400:] = 1 - other[..., 400:]
    net = lively(context=3)
    with torch.inference_mode():
        assert (net(changed) != net(other))[..., : 400 - plain.reach].any()


def test_tiles_do_not_show(seeing: Simplifier, monkeypatch: pytest.MonkeyPatch) -> None:
    net = seeing
    image = drawing(150, 333)[None]
    whole = simplify(net, image)
    monkeypatch.setattr(tiling, "TILE_PIXELS", 1000)
    monkeypatch.setattr(tiling, "_TILE", 64)
    assert np.abs(simplify(net, image).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("context", [0, 4])
def test_folding_changes_nothing_but_the_layers(context: int) -> None:
    net = lively(context=context)
    folded = fold(net)
    x = torch.rand(2, 1, 40, 50)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), net(x), atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_weights_with_normalisation_load_and_agree(tmp_path: Path) -> None:
    net = lively()
    save_file(net.state_dict(), tmp_path / "raw.safetensors")
    loaded = load_simplifier(tmp_path / "raw.safetensors")
    x = torch.rand(1, 1, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), net(x), atol=1e-4, rtol=1e-4)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_half_precision_storage_moves_hardly_a_level(weights: Path) -> None:
    stored, exact = load_simplifier(weights), fold(lively())
    image = drawing(96, 96)[None]
    assert next(iter(load_file(weights).values())).dtype == torch.float16
    assert np.abs(simplify(stored, image).astype(int) - simplify(exact, image)).mean() < 0.5


def test_bfloat16_agrees_roughly(weights: Path) -> None:
    image = drawing(96, 96)[None]
    exact = simplify(load_simplifier(weights), image).astype(int)
    rough = simplify(load_simplifier(weights, dtype="bfloat16"), image)
    assert np.abs(exact - rough).mean() < 4


def test_colour_is_reduced_to_luma_and_replicated_grey_is_grey(weights: Path) -> None:
    net = load_simplifier(weights)
    image = drawing(40, 50)[None]
    np.testing.assert_array_equal(sketch(net, np.repeat(image[..., None], 3, 3)), simplify(net, image))
    np.testing.assert_array_equal(sketch(net, image), simplify(net, image))
    blue = np.zeros((1, 40, 50, 3), np.uint8)
    blue[..., 2] = 255
    np.testing.assert_array_equal(sketch(net, blue), simplify(net, np.full((1, 40, 50), 29, np.uint8)))


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 15, 40), np.uint8), np.zeros((1, 40, 40), np.float32), np.zeros((40, 40), np.uint8)],
)
def test_wrong_arrays_are_named(weights: Path, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least 16 px"):
        sketch(load_simplifier(weights), images)


def test_blank_and_black_pages_work(weights: Path) -> None:
    net = load_simplifier(weights)
    for level in (0, 255):
        assert np.isfinite(simplify(net, np.full((1, 64, 64), level, np.uint8))).all()


def test_unusable_files_are_one_sentence(tmp_path: Path, weights: Path) -> None:
    data = weights.read_bytes()
    other = tmp_path / "other.safetensors"
    save_file({"a.weight": torch.zeros(3)}, other)
    tensors = load_file(weights)
    renamed = tmp_path / "renamed.safetensors"
    save_file({name.replace("middle.0", "centre.0"): tensor for name, tensor in tensors.items()}, renamed)
    nan = tmp_path / "nan.safetensors"
    save_file({**tensors, "head.bias": torch.tensor([float("nan")])}, nan)
    cases = {
        tmp_path / "missing.safetensors": b"",
        tmp_path / "empty.safetensors": b"",
        tmp_path / "cut.safetensors": data[: len(data) // 2],
        tmp_path / "text.safetensors": b"<html>not found</html>",
    }
    for path, content in cases.items():
        if "missing" not in path.name:
            path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as weights"):
            load_simplifier(path)
    with pytest.raises(UserError, match=r"stem\.conv\.weight has shape missing"):
        load_simplifier(other)
    with pytest.raises(UserError, match=r"middle\.0\.conv\.weight has shape missing"):
        load_simplifier(renamed)
    with pytest.raises(UserError, match=r"head\.bias has values that are not finite"):
        load_simplifier(nan)
    with pytest.raises(UserError, match="dtype 'int8'"):
        load_simplifier(weights, dtype="int8")


def test_weights_that_overflow_are_not_saved(tmp_path: Path) -> None:
    net = Simplifier(8)
    nn.init.constant_(net.head.bias, 1e6)
    with pytest.raises(ValueError, match=r"head\.bias"):
        save_simplifier(net, tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_it_learns() -> None:
    """A few steps on one pair lower the loss: gradients reach every layer."""
    torch.manual_seed(0)
    net = Simplifier(8).train()
    x = torch.from_numpy(drawing(64, 64)).float()[None, None] / 255
    optimiser = torch.optim.AdamW(net.parameters(), 5e-3)
    losses = []
    for _ in range(12):
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), (x < 0.5).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(weights: Path) -> None:
    image = drawing(200, 200)[None]
    here = simplify(load_simplifier(weights), image).astype(int)
    there = simplify(load_simplifier(weights, device="cuda"), image)
    assert (np.abs(here - there) <= 1).mean() > 0.999
