"""HED: agreement with an independent implementation, framing, batches, dtypes, bad weight files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sketchprep.core import weights as assets
from sketchprep.core.resources import resource
from sketchprep.core.runtime import has_native_bf16
from sketchprep.errors import UserError
from sketchprep.nn import hed

_spec = importlib.util.spec_from_file_location("hed_onnx", Path(__file__).parents[1] / "helpers" / "hed_onnx.py")
assert _spec is not None
assert _spec.loader is not None
hed_onnx = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hed_onnx)

# Where the processor only emulates bfloat16, 512 px take half a minute.
where_bf16_is_native = pytest.mark.integration if not has_native_bf16() else lambda test: test


@pytest.fixture(scope="module")
def weights() -> Path:
    return assets.path("hed")


@pytest.fixture(scope="module")
def net(weights: Path) -> hed.HED:
    return hed.load_hed(weights)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A drawn face-like scene with texture: strong edges, soft edges and noise."""
    rng = np.random.default_rng(3)
    picture = np.full((600, 600, 3), (196, 178, 160), np.uint8)
    cv2.ellipse(picture, (300, 310), (150, 200), 0, 0, 360, (228, 190, 170), -1)
    for x in (240, 360):
        cv2.circle(picture, (x, 270), 22, (40, 30, 30), -1)
    cv2.ellipse(picture, (300, 400), (60, 22), 0, 0, 180, (150, 60, 70), -1)
    picture[:120] = cv2.GaussianBlur(rng.integers(0, 255, (120, 600, 3), np.uint8), (0, 0), 2)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def shrink(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("margin", [0, hed.CAFFE_MARGIN], ids=["default", "caffe"])
@pytest.mark.parametrize(("height", "width"), [(17, 33), (100, 64), (255, 257), (512, 512)])
def test_float32_equals_opencv(weights: Path, scene: np.ndarray, height: int, width: int, margin: int) -> None:
    photo = shrink(scene, height, width)
    ours = hed.probability(hed.load_hed(weights, margin=margin), photo[None])[0]
    theirs = hed_onnx.OpenCVHED(weights, height, width, caffe=margin > 0)(photo)
    assert ours.dtype == np.float32
    assert ours.shape == (height, width)
    assert np.abs(ours - theirs).max() <= 1e-4


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 23)])
def test_smallest_size_equals_the_onnx_reference(
    net: hed.HED, weights: Path, scene: np.ndarray, height: int, width: int
) -> None:
    # OpenCV 5.0's classic engine returns noise where the deepest map is one pixel wide.
    from onnx.reference import ReferenceEvaluator

    photo = shrink(scene, height, width)
    blob = (photo[..., ::-1].astype(np.float32) - hed_onnx.MEAN_BGR).transpose(2, 0, 1)[None]
    reference = ReferenceEvaluator(hed_onnx.onnx.load_from_string(hed_onnx.build(weights, height, width)))
    theirs = reference.run(None, {"input": np.ascontiguousarray(blob)})[0][0, 0]
    assert np.abs(hed.probability(net, photo[None])[0] - theirs).max() <= 1e-4


def test_too_small_or_wrong_dtype_is_refused(net: hed.HED) -> None:
    for bad in (np.zeros((1, 15, 40, 3), np.uint8), np.zeros((1, 40, 40, 3), np.float32), np.zeros((40, 40, 3), "u1")):
        with pytest.raises(ValueError, match="uint8 photos"):
            hed.probability(net, bad)


def test_edges_lie_on_the_edges(net: hed.HED) -> None:
    photo = np.full((160, 200, 3), 230, np.uint8)
    photo[:, 90:] = (40, 60, 90)
    drawn = hed.sketch(net, photo[None])[0]
    assert drawn.dtype == np.uint8
    columns = drawn[40:-40].mean(axis=0)
    # Black ink within two pixels of the step, white paper elsewhere.
    assert abs(int(columns[20:-20].argmin()) + 20 - 89.5) <= 2
    assert columns[88:92].min() < 60
    assert columns[20:70].min() > 200
    assert columns[110:180].min() > 200


def test_sketch_is_the_inverted_probability(net: hed.HED, scene: np.ndarray) -> None:
    photo = shrink(scene, 96, 80)[None]
    exact = 255 * (1 - hed.probability(net, photo).astype(np.float64))
    assert np.abs(hed.sketch(net, photo) - exact).max() <= 0.5 + 1e-4


def test_channel_order_matters_as_in_the_original(net: hed.HED, scene: np.ndarray) -> None:
    photo = shrink(scene, 64, 64)
    assert np.abs(hed.probability(net, photo[None]) - hed.probability(net, photo[None, ..., ::-1])).max() > 0.01


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_picture_does_not_depend_on_its_batch(weights: Path, scene: np.ndarray, dtype: str) -> None:
    net = hed.load_hed(weights, dtype=dtype)
    photos = np.stack([shrink(scene, 96, 112), np.rot90(shrink(scene, 112, 96)), shrink(scene[100:400], 96, 112)])
    together = hed.probability(net, photos)
    alone = np.concatenate([hed.probability(net, photo[None]) for photo in photos])
    assert np.abs(together - alone).max() <= (1e-5 if dtype == "float32" else 1e-2)
    assert np.abs(together[0] - together[2]).max() > 0.2


def test_empty_batch(net: hed.HED) -> None:
    assert hed.sketch(net, np.zeros((0, 40, 30, 3), np.uint8)).shape == (0, 40, 30)


def test_input_is_left_alone_and_views_are_fine(net: hed.HED, scene: np.ndarray) -> None:
    view = scene[::6, ::5][:, ::-1]
    before = view.copy()
    flipped = hed.probability(net, view[None])
    assert np.array_equal(view, before)
    assert np.array_equal(flipped, hed.probability(net, before[None]))


@where_bf16_is_native
def test_bfloat16_is_within_two_percent(net: hed.HED, weights: Path) -> None:
    half = hed.load_hed(weights, dtype="bfloat16")
    assert half.stages[2][0].weight.dtype == torch.bfloat16
    portraits = sorted(resource("data/portraits").glob("*.jpg"))[:2]
    assert portraits
    for file in portraits:
        photo = shrink(cv2.imread(str(file))[..., ::-1], 512, 512)[None]
        assert np.abs(hed.probability(half, photo) - hed.probability(net, photo)).max() <= 0.02


def test_features_are_the_five_stages_and_differentiable(net: hed.HED) -> None:
    x = torch.full((2, 3, 50, 37), 120.0)
    x[..., 20:] = 30.0
    x.requires_grad_()
    maps = net.features(x)
    assert [tuple(m.shape) for m in maps] == [
        (2, 64, 50, 37), (2, 128, 25, 19), (2, 256, 13, 10), (2, 512, 7, 5), (2, 512, 4, 3),
    ]  # fmt: skip
    assert all(bool((m >= 0).all()) for m in maps)
    maps[4].sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) > 0
    assert all(p.grad is None for p in net.parameters())


def test_weights_are_frozen_and_channels_last(net: hed.HED) -> None:
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    assert net.stages[1][0].weight.is_contiguous(memory_format=torch.channels_last)


def test_bad_weight_files_give_one_sentence(weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(weights.read_bytes()[:-1000])
    text = tmp_path / "text.safetensors"
    text.write_text("this is not a weight file")
    empty = tmp_path / "empty.safetensors"
    empty.touch()
    for bad in (truncated, text, empty, tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(UserError, match="sketchprep fetch hed") as caught:
            hed.load_hed(bad)
        assert str(bad) in str(caught.value)
        assert "\n" not in str(caught.value)
    tensors = load_file(weights)
    del tensors["sides.2.bias"]
    other = tmp_path / "other.safetensors"
    save_file(tensors, other)
    with pytest.raises(UserError, match=r"sides\.2\.bias has shape missing"):
        hed.load_hed(other)
    tensors["sides.2.bias"] = torch.zeros(2)
    save_file(tensors, other)
    with pytest.raises(UserError, match=r"sides\.2\.bias has shape \(2,\)"):
        hed.load_hed(other)


def test_unknown_dtype(weights: Path) -> None:
    with pytest.raises(UserError, match="float16"):
        hed.load_hed(weights, dtype="float16")


@pytest.mark.gpu
def test_cuda_equals_cpu(net: hed.HED, weights: Path, scene: np.ndarray) -> None:
    photo = shrink(scene, 256, 200)[None]
    on_gpu = hed.load_hed(weights, device="cuda")
    assert np.abs(hed.probability(on_gpu, photo) - hed.probability(net, photo)).max() <= 1e-4
    levels = hed.sketch(on_gpu, photo).astype(int) - hed.sketch(net, photo)
    assert np.abs(levels).max() <= 1
    assert (levels != 0).mean() <= 1e-3
    half = hed.load_hed(weights, device="cuda", dtype="bfloat16")
    assert np.abs(hed.probability(half, photo) - hed.probability(net, photo)).max() <= 0.02
