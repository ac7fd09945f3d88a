"""pix2pixHD's generator and the blocks it is made of."""

from __future__ import annotations

import pytest
import torch
from network_size import count
from torch import nn

from sketchprep.nn.blocks import ResnetBlock, init_weights, upsample
from sketchprep.nn.pix2pixhd import GlobalGenerator


def test_the_paper_size_has_the_weights_of_its_table() -> None:
    with torch.device("meta"):
        net = GlobalGenerator(32, ngf=56, downs=4, blocks=9)
        assert net(torch.empty(1, 32, 512, 512)).shape == (1, 3, 512, 512)
    expected = 7 * 7 * 32 * 56
    expected += 9 * (56 * 112 + 112 * 224 + 224 * 448 + 448 * 896)
    expected += 9 * 2 * (9 * 896 * 896)
    expected += 9 * (896 * 448 + 448 * 224 + 224 * 112 + 112 * 56)
    expected += 7 * 7 * 56 * 3 + 3
    assert count(net) == expected


def test_a_small_one_has_the_weights_worked_out_by_hand() -> None:
    expected = 49 * 5 * 8 + 9 * (8 * 16 + 16 * 32) * 2 + 3 * 2 * 9 * 32 * 32 + 49 * 8 * 1 + 1
    assert count(GlobalGenerator(5, 1, ngf=8, downs=2, blocks=3)) == expected
    # Resizing has 3×3 convolutions where pix2pixHD has 3×3 transposed ones.
    assert count(GlobalGenerator(5, 1, ngf=8, downs=2, blocks=3, upsample="resize")) == expected


@pytest.mark.parametrize("mode", ["transpose", "resize"])
@pytest.mark.parametrize(("size", "downs"), [((64, 64), 4), ((64, 64), 5), ((32, 48), 3)])
def test_small_pictures_are_drawn_within_range(mode: str, size: tuple[int, int], downs: int) -> None:
    net = GlobalGenerator(4, ngf=4, downs=downs, blocks=2, upsample=mode)
    image = net(torch.randn(1, 4, *size))
    assert image.shape == (1, 3, *size)
    assert image.isfinite().all()
    assert image.abs().max() <= 1
    assert image.std() > 0.01


def test_a_size_that_does_not_halve_is_refused() -> None:
    net = GlobalGenerator(1, ngf=4, downs=3, blocks=1)
    for size in ((60, 64), (64, 60), (8, 64)):
        with pytest.raises(ValueError, match="multiples of 8"):
            net(torch.zeros(1, 1, *size))


def test_pictures_do_not_influence_each_other_even_in_training_mode() -> None:
    net = GlobalGenerator(4, ngf=8, downs=2, blocks=2).train()
    x = torch.randn(3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[1:2], net(x[1:2]), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("mode", ["transpose", "resize"])
def test_gradients_reach_every_weight(mode: str) -> None:
    net = GlobalGenerator(4, ngf=8, downs=2, blocks=2, upsample=mode).double()
    image = net(torch.randn(2, 4, 32, 32, dtype=torch.float64))
    (image * torch.randn_like(image)).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 1e-10, name


def test_channels_last_and_bfloat16_draw_nearly_the_same() -> None:
    net = GlobalGenerator(4, ngf=8, downs=2, blocks=2)
    x = torch.randn(2, 4, 32, 32)
    with torch.no_grad():
        exact = net(x)
        net.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(x.to(memory_format=torch.channels_last)).float()
    assert (rough - exact).abs().mean() < 0.1 * exact.std()


def test_resizing_leaves_no_grid_where_a_transposed_convolution_does() -> None:
    flat = torch.ones(1, 6, 8, 8)
    for mode, kernel, even in (("resize", 4, True), ("transpose", 4, False), ("transpose", 3, False)):
        layer = upsample(6, 3, mode=mode, kernel=kernel)
        with torch.no_grad():
            grown = layer(flat)
        assert grown.shape == (1, 3, 16, 16)
        spread = grown[..., 2:-2, 2:-2].flatten(2).std(2).max()
        assert bool(spread < 1e-6) is even
    with pytest.raises(ValueError, match="bilinear"):
        upsample(6, 3, mode="bilinear")


def test_a_residual_block_adds_to_its_input_and_reflects_at_the_border() -> None:
    block = ResnetBlock(3, lambda channels: nn.Identity())
    x = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        flat = block(torch.ones(1, 3, 6, 6))
        # Reflection continues a flat picture flat; zeros around it would show at the border.
        assert flat.flatten(2).std(2).max() < 1e-6
        for parameter in block.parameters():
            parameter.zero_()
        assert torch.equal(block(x), x)
    assert block(torch.zeros(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_initial_weights() -> None:
    net = nn.Sequential(
        nn.Conv2d(64, 64, 3), nn.BatchNorm2d(4096), nn.ConvTranspose2d(64, 64, 4), nn.Conv2d(4, 4096, 1)
    )
    init_weights(net)
    for index in (0, 2):
        assert float(net[index].weight.detach().std()) == pytest.approx(0.02, rel=0.05)
        assert not net[index].bias.any()
    assert float(net[1].weight.detach().mean()) == pytest.approx(1, abs=0.005)
    assert float(net[1].weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not net[1].bias.any()
    # A 1×1 convolution of few channels must not shrink what it passes on to nothing.
    assert float(net[3].weight.detach().std()) > 0.1
