"""StyleGAN2 against numbers of the original networks on the same weights, and what its own interface promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rule_weights import fill, normal, uniform

from sketchprep.errors import UserError
from sketchprep.models.gansketching.stylegan2 import Architecture, Discriminator, Generator
from sketchprep.models.gansketching.stylegan2 import operations as ops
from sketchprep.models.gansketching.stylegan2.discriminator import minibatch_std

TINY = Architecture(size=32, style_dim=32, mapping_layers=4, channel_base=256, channel_max=32)
SKIP = np.s_[:, :, ::4, ::4]


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("reference.npz")) as file:
        return dict(file)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return fill(Generator(TINY), "G/")


@pytest.fixture(scope="module")
def discriminator() -> Discriminator:
    return fill(Discriminator(TINY), "D/")


def close(ours: torch.Tensor, theirs: np.ndarray, bound: float = 2e-5) -> None:
    """Within the bound, relative to the largest number."""
    found = ours.detach().numpy()
    assert found.shape == theirs.shape
    assert np.abs(found - theirs).max() <= bound * max(1, np.abs(theirs).max())


def test_resampling_is_the_originals(reference: dict[str, np.ndarray]) -> None:
    x = normal("ops/x", (2, 3, 8, 8))
    close(ops.upsample2(x), reference["ops/upsample2"])
    close(ops.downsample2(x), reference["ops/downsample2"])
    close(ops.filter_separable(x, pad=(1, 1), gain=4), reference["ops/blur_1_1_gain4"])


@pytest.mark.parametrize("case", "abcde")
def test_upfirdn_with_an_asymmetric_filter(reference: dict[str, np.ndarray], case: str) -> None:
    x, kernel = normal("ops/x", (2, 3, 8, 8)), torch.from_numpy(reference["ops/kasym"])
    up, down, before, after = map(int, reference[f"ops/upfirdn_{case}_args"])
    close(ops.upfirdn2d(x, kernel, up=up, down=down, pad=(before, after)), reference[f"ops/upfirdn_{case}"])


@pytest.mark.parametrize(
    ("name", "kernel", "options"),
    [
        ("plain", 3, {}),
        ("up", 3, {"up": True}),
        ("down", 3, {"down": True}),
        ("nodemod1x1", 1, {"demodulate": False}),
    ],
)
def test_modulated_convolution(reference: dict[str, np.ndarray], name: str, kernel: int, options: dict) -> None:
    layer = fill(ops.ModulatedConv2d(3, 5, kernel, 32, **options), f"ops/{name}/")
    style = torch.from_numpy(reference["ops/style"]).requires_grad_()
    result = layer(normal("ops/x", (2, 3, 8, 8)), style)
    close(result, reference[f"ops/modconv_{name}"])
    (result * normal(f"ops/{name}/P", tuple(result.shape))).sum().backward()
    close(style.grad, reference[f"ops/modconv_{name}_gs"])


def test_pictures_of_z_with_truncation_and_mixing(generator: Generator, reference: dict[str, np.ndarray]) -> None:
    z, z2, mean = (torch.from_numpy(reference[f"tiny/{name}"]) for name in ("z", "z2", "mean_latent"))
    close(generator.map(z), reference["tiny/w"])
    close(generator(z, noise="fixed")[SKIP], reference["tiny/img_const"])
    close(generator(z, noise="fixed", psi=0.5, mean=mean)[SKIP], reference["tiny/img_trunc0.5"])
    mixed = {"second": z2, "crossover": 2, "noise": "fixed"}
    close(generator(z, **mixed)[SKIP], reference["tiny/img_mix2"])
    close(generator(z, **mixed, psi=0.7, mean=mean)[SKIP], reference["tiny/img_mix2_trunc0.7"])


def test_a_row_of_w_for_each_layer(generator: Generator, reference: dict[str, np.ndarray]) -> None:
    wplus = torch.from_numpy(reference["tiny/wplus"])
    close(generator.synthesize(generator.rows(wplus), noise="fixed")[SKIP], reference["tiny/img_wplus"])
    longer = torch.cat([wplus, torch.randn(len(wplus), 10, 32)], 1)
    torch.testing.assert_close(generator.rows(longer), wplus)
    with pytest.raises(ValueError, match=r"w\+ must have shape \(batch, 8, 32\)"):
        generator.rows(wplus[:, :7])


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8])
def test_logits_and_gradient_penalty(discriminator: Discriminator, reference: dict, batch: int) -> None:
    x = uniform(f"tiny/x{batch}", (batch, 3, 32, 32)).requires_grad_()
    logits = discriminator(x)
    close(logits, reference[f"tiny/D_logits_b{batch}"])
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    penalty = slope.square().flatten(1).sum(1).mean()
    close(penalty, reference[f"tiny/D_r1_b{batch}"])
    if batch == 4:
        discriminator.zero_grad()
        (5 * 16 * penalty).backward()
        close(discriminator.final_linear[1].weight.grad, reference["tiny/D_r1grad_final_linear.1.weight"])


def test_any_batch_is_grouped() -> None:
    for batch in (5, 6, 7, 9):
        x = torch.randn(batch, 2, 4, 4)
        assert minibatch_std(x).shape == (batch, 3, 4, 4)
    torch.testing.assert_close(minibatch_std(torch.ones(1, 2, 4, 4))[:, 2], torch.full((1, 4, 4), 1e-4))


def test_w_shift_moves_every_w(reference: dict[str, np.ndarray]) -> None:
    net = fill(Generator(Architecture(**{**TINY.__dict__, "w_shift": True})), "G/")
    torch.nn.init.zeros_(net.style[5].w_shift).data += torch.from_numpy(reference["tiny/wshift_value"])
    picture = net(torch.from_numpy(reference["tiny/z"]), noise="fixed")
    close(picture[SKIP], reference["tiny/wshift_img"])


def test_the_published_sizes(reference: dict[str, np.ndarray]) -> None:
    net = Architecture(size=64, channel_base=16384)
    with torch.no_grad():
        picture = fill(Generator(net), "R64/")(torch.from_numpy(reference["real64/z"]), noise="fixed")
        close(picture[:, :, ::8, ::8], reference["real64/img"])
        close(fill(Discriminator(net), "R64D/")(uniform("r64/x", (4, 3, 64, 64))), reference["real64/D_logits"])


@pytest.mark.parametrize(("size", "base", "millions"), [(64, 16384, (23.82, 23.41)), (256, 32768, (30.03, 28.86))])
def test_parameter_counts_of_the_paper(size: int, base: int, millions: tuple[float, float]) -> None:
    net = Architecture(size=size, channel_base=base)
    with torch.device("meta"):
        counts = [sum(p.numel() for p in kind(net).parameters()) for kind in (Generator, Discriminator)]
    assert [round(count / 1e6, 2) for count in counts] == list(millions)


def test_noise_is_fixed_fresh_or_none(generator: Generator) -> None:
    z = torch.randn(2, 32)
    with torch.no_grad():
        assert torch.equal(generator(z, noise="fixed"), generator(z, noise="fixed"))
        assert not torch.equal(generator(z), generator(z))
        silent = generator(z, noise=[torch.zeros(1, 1, side, side) for side in TINY.noise_sizes])
        torch.testing.assert_close(generator(z, noise="none"), silent)
    with pytest.raises(ValueError, match="noise must be"):
        generator(z, noise="loud")


@pytest.mark.parametrize("values", [{"size": 48}, {"mapping_layers": 0}, {"size": 64, "channel_base": 32}])
def test_impossible_architectures_are_refused(values: dict) -> None:
    with pytest.raises(UserError, match=next(iter(reversed(values)))):
        Architecture(**values)
