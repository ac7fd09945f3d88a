"""What GANSketching's discriminator of sketches sees: drawings, transformed and augmented, as in the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from portraits import PORTRAITS
from rule_weights import fill_photosketch, normal

from sketchprep.errors import UserError
from sketchprep.io import files, images
from sketchprep.models.gansketching import diffaugment, losses
from sketchprep.models.gansketching.drawer import open_drawer
from sketchprep.models.gansketching.import_weights import import_photosketch
from sketchprep.models.gansketching.transforms import chain
from sketchprep.nn.photocopy import Photocopy
from sketchprep.nn.photosketch import PhotoSketch
from sketchprep.ops.photocopy import photocopy
from sketchprep.ops.resize import resize

REFERENCE = np.load(Path(__file__).with_name("sketching.npz"))


def face(size: int) -> np.ndarray:
    picture = images.decode(files.read(min(PORTRAITS.glob("*.jpg"))))
    side = min(picture.shape[:2])
    return resize(picture[:side, :side], (size, size))


def test_photosketch_draws_as_its_authors_do_with_the_statistics_of_the_batch() -> None:
    net = fill_photosketch(PhotoSketch(8), "PS8/")
    x = torch.from_numpy(REFERENCE["ps_x"])
    assert np.abs(net.eval()(x).detach().numpy() - REFERENCE["ps_ngf8_eval_b2"]).max() < 1e-5
    net.normalise_by_batch()
    assert np.abs(net(x[:1]).numpy() - REFERENCE["ps_ngf8_train_b1"]).max() < 1e-5
    drawn = net(x.requires_grad_())
    assert np.abs(drawn.detach().numpy() - REFERENCE["ps_ngf8_train_b2"]).max() < 1e-5
    (drawn * normal("ps/P", tuple(drawn.shape))).sum().backward()
    assert x.grad is not None
    assert np.abs(x.grad.numpy() - REFERENCE["ps_ngf8_train_b2_gx"]).max() < 2e-5


@pytest.mark.parametrize("steps", ["down1", "down2", "down2,up2,to3ch"])
def test_transforms_are_bicubic_without_antialiasing(steps: str) -> None:
    made = chain(steps)(torch.from_numpy(REFERENCE["tf_x1"]))
    assert np.abs(made.numpy() - REFERENCE[f"tf_real|{steps}"]).max() < 1e-6


@pytest.mark.parametrize("steps", ["down0", "sketch", "down1,toSketch", "to3ch;down1"])
def test_an_unknown_transform_is_refused_and_not_ignored(steps: str) -> None:
    with pytest.raises(UserError, match=r"^transform .*: is unknown here; write downN"):
        chain(steps)


def test_augmentation_does_what_its_formulas_say() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (3, 3, 16, 16)).astype(np.float32)
    tensor, u = torch.from_numpy(x), torch.tensor([0.1, 0.5, 0.9])
    shift = np.array([0.1, 0.5, 0.9], np.float32)[:, None, None, None]
    grey, mean = x.mean(1, keepdims=True), x.mean((1, 2, 3), keepdims=True)
    assert np.allclose(diffaugment.brightness(tensor, u), x + shift - 0.5, atol=1e-6)
    assert np.allclose(diffaugment.saturation(tensor, u), (x - grey) * 2 * shift + grey, atol=1e-6)
    assert np.allclose(diffaugment.contrast(tensor, u), (x - mean) * (shift + 0.5) + mean, atol=1e-6)
    moved = diffaugment.translate(tensor, torch.tensor([2, -1, 0]), torch.tensor([-3, 0, 1]), fill=1).numpy()
    assert np.array_equal(moved[0, :, :14, 3:], x[0, :, 2:, :13])
    assert (moved[0, :, 14:] == 1).all()
    assert (moved[0, :, :, :3] == 1).all()
    assert np.array_equal(moved[1, :, 1:], x[1, :, :15])
    assert np.array_equal(moved[2, :, :, :15], x[2, :, :, 1:])
    cut = diffaugment.cutout(tensor, torch.tensor([8, 0, 16]), torch.tensor([8, 16, 0])).numpy()
    assert (cut[0, :, 4:12, 4:12] == 0).all()
    assert np.array_equal(cut[0, :, :4], x[0, :, :4])
    assert (cut[1, :, :4, 12:] == 0).all()
    assert np.array_equal(cut[1, :, 4:], x[1, :, 4:])
    assert diffaugment.upscale(tensor, 0.6).shape == tensor.shape


def test_augmentation_is_differentiable_and_drawn_anew_each_time() -> None:
    torch.manual_seed(0)
    augment = diffaugment.DiffAugment(("color", "translation", "cutout", "upscale"), fill=1.0)
    x = torch.rand(4, 3, 32, 32).requires_grad_()
    first, second = augment(x), augment(x)
    assert not torch.equal(first, second)
    first.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    with pytest.raises(UserError, match="augment=rotate: is unknown; known: color"):
        diffaugment.DiffAugment(("rotate",))


@pytest.mark.parametrize("kind", losses.KINDS)
def test_a_discriminator_that_tells_apart_has_the_smaller_loss(kind: str) -> None:
    sure, wrong = torch.full((4, 1), 3.0), torch.full((4, 1), -3.0)
    if kind == "ls":
        sure, wrong = torch.ones(4, 1), torch.zeros(4, 1)
    assert losses.discriminate(sure, real=True, kind=kind) < losses.discriminate(wrong, real=True, kind=kind)
    assert losses.discriminate(wrong, real=False, kind=kind) < losses.discriminate(sure, real=False, kind=kind)
    assert losses.generate(sure, kind=kind) < losses.generate(wrong, kind=kind)


def test_the_differentiable_photocopy_is_the_filter_within_its_rounding() -> None:
    photo = face(256)
    drawn = Photocopy(mask_radius=7, sharpness=0.8)(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255)
    expected = photocopy(photo, mask_radius=7, sharpness=0.8).astype(float)
    off = np.abs(drawn[0, 0].numpy() * 255 - expected)
    assert off[:-24, :-24].max() < 1
    assert off.mean() < 0.5


@pytest.mark.parametrize("name", ["simplifier", "photocopy"])
def test_drawers_draw_black_on_white_and_pass_gradients_to_most_of_the_picture(name: str) -> None:
    drawer = open_drawer(name, size=128)
    x = (torch.from_numpy(face(128)).permute(2, 0, 1)[None] / 127.5 - 1).requires_grad_()
    drawn = drawer(x)
    assert drawn.shape == (1, 1, 128, 128)
    assert float(drawn.detach().quantile(0.75)) > 0.5
    assert float(drawn.detach().min()) < -0.5
    drawn.sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad != 0).float().mean() > 0.9


def test_photosketch_needs_its_weights() -> None:
    with pytest.raises(UserError, match=r"drawer_weights=FILE, made by `sketchprep import-weights photosketch`"):
        open_drawer("photosketch", size=128)
    with pytest.raises(UserError, match="drawer=crayon: is unknown; known: simplifier"):
        open_drawer("crayon", size=128)


def test_photosketch_weights_are_imported_and_others_refused(tmp_path: Path) -> None:
    net = fill_photosketch(PhotoSketch(8), "PS8/")
    torch.save(net.state_dict(), tmp_path / "latest_net_G.pth")
    report = import_photosketch(tmp_path / "latest_net_G.pth", tmp_path / "out")
    assert "PhotoSketch of width 8, 140 tensors taken" in report.text()
    drawer = open_drawer("photosketch", size=64, weights_file=report.path)
    x = torch.from_numpy(REFERENCE["ps_x"])
    assert np.abs(drawer(x).numpy() - REFERENCE["ps_ngf8_train_b2"]).max() < 1e-5
    with pytest.raises(UserError, match="is there already"):
        import_photosketch(tmp_path / "latest_net_G.pth", tmp_path / "out")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="holds no PhotoSketch"):
        import_photosketch(tmp_path / "other.pth", tmp_path / "new")
    torch.save({**net.state_dict(), "model.1.weight": torch.zeros(9, 3, 7, 7)}, tmp_path / "odd.pth")
    with pytest.raises(UserError, match="belongs to another network: model"):
        import_photosketch(tmp_path / "odd.pth", tmp_path / "new")
