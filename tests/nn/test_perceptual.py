"""The perceptual distance: its form, its trunks, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.nn.perceptual import VGG, Perceptual, cut, load_perceptual, load_vgg


class Tell(nn.Module):
    """A trunk whose activations are known: the colours, at the second stage their means over blocks of four pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Identity()] * 5)

    def features(self, x: Tensor) -> list[Tensor]:
        return [x, nn.functional.avg_pool2d(x, 2), x, x, x][: len(self.stages)]


def test_the_distance_is_the_weighted_sum_of_mean_absolute_differences() -> None:
    made, wanted = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    made[..., ::2, ::2] = 1 / 127.5  # one grey level in a quarter of the pixels
    assert Perceptual(Tell(), layers=(1,))(made, wanted).item() == pytest.approx(0.25 / 32, rel=1e-4)
    second = Perceptual(Tell(), layers=(2,), scales=(1, 5, 1, 1, 1))
    assert second(made, wanted).item() == pytest.approx(0.25 / 16 / 5, rel=1e-4)
    whole = Perceptual(Tell())(made, wanted).item()
    assert whole == pytest.approx(0.25 * (1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1), rel=1e-4)
    assert Perceptual(Tell())(wanted, wanted).item() == 0


def test_stages_beyond_the_coarsest_one_wanted_are_dropped() -> None:
    net = Perceptual(VGG(13), layers=(1, 3))
    assert len(net.trunk.stages) == 3
    assert not any(p.requires_grad for p in net.parameters())


def test_each_picture_is_cut_at_its_own_corner_and_gradients_stay_there() -> None:
    pictures = torch.arange(2 * 3 * 8 * 8).float().view(2, 3, 8, 8).requires_grad_()
    corners = torch.tensor([[0, 3], [5, 1]])
    parts = cut(pictures, corners, 3)
    assert torch.equal(parts[0], pictures[0, :, 0:3, 3:6])
    assert torch.equal(parts[1], pictures[1, :, 5:8, 1:4])
    parts.sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.sum() == 2 * 3 * 9
    assert torch.equal(pictures.grad[1, 0].nonzero().min(0).values, torch.tensor([5, 1]))


def test_only_the_part_at_the_corners_counts() -> None:
    made, wanted = torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    made[:, :, 7, 7] = 1.0
    net = Perceptual(Tell(), layers=(1,), size=4)
    assert net(made, wanted, torch.tensor([[0, 0], [3, 3]])).item() == 0
    assert net(made, wanted, torch.tensor([[4, 4], [0, 0]])).item() > 0
    assert net(made, wanted).item() > 0


def state_of(net: VGG) -> dict[str, Tensor]:
    """Named as torchvision does: relu and pooling count too."""
    named, number = {}, 0
    for stage in net.stages:
        for convolution in stage:  # type: ignore[attr-defined]
            named |= {f"features.{number}.{kind}": value.clone() for kind, value in convolution.state_dict().items()}
            number += 2
        number += 1
    return named


@pytest.fixture(scope="module")
def vgg16() -> VGG:
    torch.manual_seed(0)
    return VGG(13)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_that_the_user_names_are_those_of_torchvision(tmp_path: Path, vgg16: VGG, suffix: str) -> None:
    from safetensors.torch import save_file

    path, tensors = tmp_path / f"vgg16{suffix}", {**state_of(vgg16), "classifier.0.weight": torch.zeros(2, 2)}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    net, x = load_vgg(path), torch.rand(1, 3, 32, 48) * 255
    found = net.features(x)
    assert [tuple(f.shape[1:]) for f in found] == [(64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3)]
    # The first stage by hand: ImageNet's normalisation, one convolution, ReLU.
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    weight, bias = tensors["features.0.weight"], tensors["features.0.bias"]
    first = torch.relu(nn.functional.conv2d((x / 255 - mean) / deviation, weight, bias, padding=1))
    assert torch.allclose(found[0], first, atol=1e-4)
    assert [k for k in tensors if k.startswith("features.28")]  # conv5_3 lies where torchvision has it
    made = torch.rand(1, 3, 32, 32, requires_grad=True)
    load_perceptual(path)(made, torch.zeros(1, 3, 32, 32)).backward()
    assert made.grad.abs().sum() > 0


def test_files_that_are_no_vgg_are_refused_in_a_sentence(tmp_path: Path, vgg16: VGG) -> None:
    cases = {
        "missing.pth": None,
        "text.pth": b"not weights",
        "text.safetensors": b"not weights",
        "list.pth": [1, 2],
        "other.pth": {"conv.weight": torch.zeros(3)},
        "wide.pth": {**state_of(vgg16), "features.5.weight": torch.zeros(128, 64, 5, 5)},
        "lacks.pth": {k: v for k, v in state_of(vgg16).items() if k != "features.7.bias"},
    }
    words = {
        "other": "holds 0 convolutions",
        "wide": r"features\.5\.weight has shape",
        "lacks": r"features\.7\.bias has",
    }
    for name, content in cases.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        elif content is not None:
            torch.save(content, tmp_path / name)
        reason = words.get(name.split(".")[0], "")
        with pytest.raises(UserError, match=f"perceptual_weights=.*{name}.*{reason}") as caught:
            load_vgg(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_weights_are_read_without_unpickling_code(tmp_path: Path) -> None:
    import os

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="is no file of weights"):
        load_vgg(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_heds_trunk_sees_blur_and_its_distance_has_the_size_of_a_vggs() -> None:
    import cv2
    import numpy as np

    from sketchprep.core.resources import resource
    from sketchprep.io import images
    from sketchprep.ops.resize import resize

    paths = sorted(resource("data/portraits").glob("*.jpg"))[:3]
    photos = [resize(images.decode(path.read_bytes()), (128, 128)) for path in paths]
    blurred = [cv2.GaussianBlur(photo, (0, 0), 3) for photo in photos]
    real, soft = (
        torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1 for pictures in (photos, blurred)
    )
    net = load_perceptual()
    with torch.no_grad():
        same, near, other = (net(a, real).item() for a in (real, soft, real.flip(0)))
    assert same == 0
    assert 0.1 < near < other < 3
