"""The GAN's losses against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from sketchprep.nn.gan_losses import feature_matching, l1, lsgan


def constant(*values: float, side: int = 2) -> list[torch.Tensor]:
    return [torch.full((1, 3, side + n, side), float(value)) for n, value in enumerate(values)]


def test_lsgan_is_the_squared_distance_of_the_logits_summed_over_scales() -> None:
    logits = torch.tensor([[[[0.0, 2.0]]], [[[1.0, 3.0]]]])  # two pictures
    scales = [[torch.full((2, 4, 8, 8), 99.0), logits], [torch.full((2, 4, 4, 4), 99.0), torch.full((2, 1, 1, 1), 0.5)]]
    assert lsgan(scales, 1.0).item() == pytest.approx((1 + 1 + 0 + 4) / 4 + 0.25)
    assert lsgan(scales, 0.0).item() == pytest.approx((0 + 4 + 1 + 9) / 4 + 0.25)


def test_lsgan_pulls_logits_towards_its_target() -> None:
    logits = torch.tensor([[[[0.25]]]], requires_grad=True)
    lsgan([[logits]], 1.0).backward()
    assert logits.grad.item() == pytest.approx(2 * (0.25 - 1))


def test_feature_matching_has_pix2pixhds_weights() -> None:
    # A discriminator of three layers gives four activations and the logits: 4 / (3 + 1) = 1; two scales halve that.
    fake = [constant(1, 2, 3, 4, 50), constant(0, 0, 0, 0, -7)]
    real = [constant(0, 0, 0, 2, 0), constant(0, 0, 0.5, 0, 0)]
    assert feature_matching(fake, real).item() == pytest.approx((1 + 2 + 3 + 2 + 0.5) / 2)
    # One of a single layer: two activations, 4 / (1 + 1) = 2.
    assert feature_matching([constant(1, 2, 9)], [constant(0, 0, 0)]).item() == pytest.approx(2 * (1 + 2))


def test_feature_matching_moves_the_made_picture_only() -> None:
    fake, real = ([[t.clone().requires_grad_() for t in constant(v, v, 0)]] for v in (1.0, 0.0))
    feature_matching(fake, real).backward()
    assert fake[0][0].grad is not None
    assert all(t.grad is None for t in real[0])
    assert fake[0][-1].grad is None  # nor do the logits count


def test_l1_is_a_mean_in_float32() -> None:
    made, wanted = torch.full((2, 3, 4, 4), 0.25, dtype=torch.bfloat16), torch.full((2, 3, 4, 4), -0.5)
    assert l1(made, wanted).item() == 0.75
    assert l1(made, wanted).dtype == torch.float32


def test_real_discriminators_activations_fit_the_losses() -> None:
    from sketchprep.nn.patchgan import MultiscaleDiscriminator

    torch.manual_seed(0)
    net = MultiscaleDiscriminator(4, ndf=4, layers=3, scales=2)
    with torch.no_grad():
        a, b = net(torch.rand(2, 4, 64, 64)), net(torch.rand(2, 4, 64, 64))
    by_hand = sum(
        (x - y).abs().mean() / 2 for s, t in zip(a, b, strict=True) for x, y in zip(s[:4], t[:4], strict=True)
    )
    assert len(a[0]) == 5
    assert feature_matching(a, b).item() == pytest.approx(float(by_hand), rel=1e-5)
    assert lsgan(a, 1.0).item() == pytest.approx(sum(float(((s[4] - 1) ** 2).mean()) for s in a), rel=1e-5)
