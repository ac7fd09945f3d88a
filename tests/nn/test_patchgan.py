"""Multi-scale PatchGAN: counts worked out by hand, shapes, what a logit sees."""

from __future__ import annotations

import pytest
import torch
from network_size import count
from torch import nn

from sketchprep.nn.patchgan import MultiscaleDiscriminator, PatchDiscriminator


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize("in_channels", [4, 35])
def test_the_weights_are_those_of_its_table(scales: int, in_channels: int) -> None:
    one = 16 * in_channels * 64 + 64
    one += 16 * (64 * 128 + 128 * 256 + 256 * 512)
    one += 16 * 512 * 1 + 1
    with torch.device("meta"):
        assert count(MultiscaleDiscriminator(in_channels, scales=scales)) == scales * one


def test_channels_stop_growing_at_512() -> None:
    with torch.device("meta"):
        net = PatchDiscriminator(3, ndf=64, layers=5)
        channels = [a.shape[1] for a in net(torch.empty(1, 3, 256, 256))]
    assert channels == [64, 128, 256, 512, 512, 512, 1]


def test_activations_come_finest_first_with_the_logits_last() -> None:
    with torch.device("meta"):
        results = MultiscaleDiscriminator(4)(torch.empty(2, 4, 512, 512))
    assert len(results) == 3
    assert [tuple(a.shape[1:]) for a in results[0]] == [
        (64, 257, 257),
        (128, 129, 129),
        (256, 65, 65),
        (512, 66, 66),
        (1, 67, 67),
    ]
    assert [scale[-1].shape[-1] for scale in results] == [67, 35, 19]


@pytest.mark.parametrize("size", [16, 64, 65, 128])
def test_small_pictures_are_judged(size: int) -> None:
    results = MultiscaleDiscriminator(4, ndf=4)(torch.randn(1, 4, size, size))
    assert all(a.isfinite().all() for scale in results for a in scale)
    assert all(scale[-1].shape[1] == 1 for scale in results)


def test_a_logit_sees_seventy_pixels() -> None:
    net = PatchDiscriminator(1, ndf=2, layers=3).double()
    # InstanceNorm looks at the whole map; without it the reach of the convolutions shows.
    for step in net.steps:
        for index, layer in enumerate(step if isinstance(step, nn.Sequential) else ()):
            if isinstance(layer, nn.InstanceNorm2d):
                step[index] = nn.Identity()
    x = torch.randn(1, 1, 160, 160, dtype=torch.float64, requires_grad=True)
    logits = net(x)[-1]
    logits[0, 0, 11, 11].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_coarser_scales_see_the_averaged_picture() -> None:
    net = MultiscaleDiscriminator(2, ndf=4, scales=2)
    x = torch.randn(1, 2, 32, 32)
    # Odd shapes too: the mean of what lies inside the picture, at its border as in its middle.
    half = torch.empty(1, 2, 16, 16)
    for row in range(16):
        for column in range(16):
            window = x[..., max(2 * row - 1, 0) : 2 * row + 2, max(2 * column - 1, 0) : 2 * column + 2]
            half[..., row, column] = window.mean((-1, -2))
    with torch.no_grad():
        for found, expected in zip(net(x)[1], net.scales[1](half), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_activations_keep_their_values_and_gradients_reach_every_weight() -> None:
    net = MultiscaleDiscriminator(3, ndf=4, scales=2).double()
    results = net(torch.randn(2, 3, 48, 48, dtype=torch.float64))
    for scale, discriminator in zip(results, net.scales, strict=True):
        for before, step, after in zip(scale, discriminator.steps[1:], scale[1:], strict=False):
            torch.testing.assert_close(step(before), after)
    sum((scale[-1] * torch.randn_like(scale[-1])).sum() for scale in results).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 1e-10, name


def test_pictures_do_not_influence_each_other() -> None:
    net = MultiscaleDiscriminator(3, ndf=4, scales=2)
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        for together, alone in zip(net(x), net(x[1:2]), strict=True):
            torch.testing.assert_close(together[-1][1:2], alone[-1], atol=1e-4, rtol=1e-3)


def test_channels_last_and_bfloat16_judge_nearly_the_same() -> None:
    net = MultiscaleDiscriminator(3, ndf=8, scales=2)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        exact = net(x)[0][-1]
        net.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(x.to(memory_format=torch.channels_last))[0][-1].float()
    assert (rough - exact).abs().mean() < 0.1 * exact.std()
