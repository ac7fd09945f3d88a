"""DeepFaceDrawing's networks: shapes, counts worked out by hand, windows, fusion, gradients."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from network_size import count
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.networks.modules import (
    Architecture,
    Autoencoder,
    Encoder,
    Encoders,
    FaceGenerator,
    FeatureDecoder,
    ImageDecoder,
    fuse,
    part_images,
)

PARTS = ("left_eye", "right_eye", "nose", "mouth", "remainder")
SIDES = {"left_eye": 128, "right_eye": 128, "nose": 160, "mouth": 192, "remainder": 512}
INNER = {"left_eye": 4, "right_eye": 4, "nose": 5, "mouth": 6, "remainder": 16}
# x, y, side of the windows at 512 px.
PLACES = {"left_eye": (108, 156, 128), "right_eye": (255, 156, 128), "nose": (182, 232, 160), "mouth": (169, 301, 192)}

SLIM = Architecture(size=64, latent=24, width=8, fm_channels=4, fm_width=8, ngf=8, downs=2, blocks=1, narrow=4)


def on_meta(cls: type[nn.Module], *args: object) -> nn.Module:
    with torch.device("meta"):
        return cls(*args)


def sketches(number: int, size: int = 64) -> Tensor:
    return torch.where(torch.rand(number, 1, size, size) < 0.2, -1.0, 1.0)


# A residual block of c channels: two 3×3 convolutions without bias, two gains and two offsets a channel.
BLOCK = {c: 2 * (9 * c * c + 2 * c) for c in (16, 32, 64, 128, 256, 512)}


@pytest.mark.parametrize("part", PARTS)
def test_an_encoder_of_the_paper_has_the_weights_of_its_table(part: str) -> None:
    body = 4 * 4 * 1 * 32 + 2 * 32
    body += BLOCK[32] + 4 * 4 * 32 * 64 + 2 * 64
    body += BLOCK[64] + 4 * 4 * 64 * 128 + 2 * 128
    body += BLOCK[128] + 4 * 4 * 128 * 256 + 2 * 256
    body += BLOCK[256] + 4 * 4 * 256 * 512 + 2 * 512
    body += BLOCK[512]
    assert body == 9_077_056
    inputs = {"left_eye": 8192, "right_eye": 8192, "nose": 12_800, "mouth": 18_432, "remainder": 131_072}[part]
    assert count(on_meta(Encoder, part, Architecture())) == body + inputs * 512 + 512


@pytest.mark.parametrize("part", PARTS)
def test_an_image_decoder_of_the_paper_has_the_weights_of_its_table(part: str) -> None:
    body = BLOCK[512]
    body += 4 * 4 * 512 * 256 + 2 * 256 + BLOCK[256]
    body += 4 * 4 * 256 * 128 + 2 * 128 + BLOCK[128]
    body += 4 * 4 * 128 * 64 + 2 * 64 + BLOCK[64]
    body += 4 * 4 * 64 * 32 + 2 * 32 + BLOCK[32]
    body += 4 * 4 * 32 * 32 + 2 * 32 + BLOCK[32]
    body += 5 * 5 * 32 * 1 + 1
    units = 512 * INNER[part] ** 2
    assert count(on_meta(ImageDecoder, part, Architecture())) == 512 * units + units + body


@pytest.mark.parametrize("channels", [32, 1])
@pytest.mark.parametrize("part", PARTS)
def test_a_feature_decoder_of_the_paper_has_the_weights_of_its_table(part: str, channels: int) -> None:
    body = BLOCK[512]
    body += 4 * 4 * 512 * 256 + 2 * 256 + BLOCK[256]
    body += 4 * 4 * 256 * 256 + 2 * 256 + BLOCK[256]
    body += 4 * 4 * 256 * 128 + 2 * 128 + BLOCK[128]
    body += 4 * 4 * 128 * 64 + 2 * 64 + BLOCK[64]
    body += 4 * 4 * 64 * 64 + 2 * 64 + BLOCK[64]
    body += 5 * 5 * 64 * channels + channels
    units = 512 * INNER[part] ** 2
    assert count(on_meta(FeatureDecoder, part, Architecture(fm_channels=channels))) == 512 * units + units + body


def test_the_five_encoders_of_the_paper_together() -> None:
    assert count(on_meta(Encoders, Architecture())) == 136_876_096


def test_smaller_frames_drop_the_innermost_stages_of_an_encoder_and_the_first_widths_of_a_decoder() -> None:
    arch = Architecture(size=256, latent=100, width=16, fm_width=16, fm_channels=5)
    encoder = 4 * 4 * 16 + 2 * 16 + BLOCK[16] + 4 * 4 * 16 * 32 + 2 * 32 + BLOCK[32]
    encoder += 4 * 4 * 32 * 64 + 2 * 64 + BLOCK[64] + 4 * 4 * 64 * 128 + 2 * 128 + BLOCK[128]
    assert count(on_meta(Encoder, "nose", arch)) == encoder + 128 * 25 * 100 + 100
    # 4, 4, 2, 1, 1 times fm_width; at 512 px an 8 stands before them.
    decoder = 100 * 64 * 25 + 64 * 25 + BLOCK[64]
    decoder += 4 * 4 * 64 * 64 + 2 * 64 + BLOCK[64] + 4 * 4 * 64 * 32 + 2 * 32 + BLOCK[32]
    decoder += 4 * 4 * 32 * 16 + 2 * 16 + BLOCK[16] + 4 * 4 * 16 * 16 + 2 * 16 + BLOCK[16]
    decoder += 5 * 5 * 16 * 5 + 5
    assert count(on_meta(FeatureDecoder, "nose", arch)) == decoder


def test_innermost_sets_the_innermost_map_of_encoder_and_decoders() -> None:
    arch = Architecture(size=128, latent=50, width=16, innermost=32, fm_width=64, fm_channels=2)
    encoder = 4 * 4 * 16 + 2 * 16 + BLOCK[16] + 4 * 4 * 16 * 32 + 2 * 32 + BLOCK[32]
    encoder += 4 * 4 * 32 * 32 + 2 * 32 + BLOCK[32] + 32 * 16 * 50 + 50
    assert count(on_meta(Encoder, "left_eye", arch)) == encoder
    decoder = 50 * 32 * 16 + 32 * 16 + BLOCK[32]
    decoder += 4 * 4 * 32 * 32 + 2 * 32 + BLOCK[32] + 4 * 4 * 32 * 16 + 2 * 16 + BLOCK[16]
    decoder += 4 * 4 * 16 * 16 + 2 * 16 + BLOCK[16] + 5 * 5 * 16 + 1
    assert count(on_meta(ImageDecoder, "left_eye", arch)) == decoder
    features = 50 * 32 * 16 + 32 * 16 + BLOCK[32]
    features += 4 * 4 * 32 * 128 + 2 * 128 + BLOCK[128] + 4 * 4 * 128 * 64 + 2 * 64 + BLOCK[64]
    features += 4 * 4 * 64 * 64 + 2 * 64 + BLOCK[64] + 5 * 5 * 64 * 2 + 2
    assert count(on_meta(FeatureDecoder, "left_eye", arch)) == features


@pytest.mark.parametrize("kind", [Encoder, ImageDecoder, FeatureDecoder])
def test_narrow_spares_the_remainder_most_of_its_linear_layer_and_leaves_the_rest(kind: type[nn.Module]) -> None:
    wide, slim = Architecture(), Architecture(narrow=32)
    saved = count(on_meta(kind, "remainder", wide)) - count(on_meta(kind, "remainder", slim))
    units = 16 * 16 * 512 - 16 * 16 * 32
    if kind is Encoder:
        assert saved == units * 512 - (512 * 32 + 32)
    else:
        assert saved == units * 512 + units - (32 * 512 + 512)
    assert count(on_meta(kind, "mouth", wide)) == count(on_meta(kind, "mouth", slim))


@pytest.mark.parametrize(("size", "narrow"), [(512, None), (256, 16), (128, 32), (64, None)])
@pytest.mark.parametrize("mode", ["transpose", "resize"])
def test_shapes_at_every_size(size: int, narrow: int | None, mode: str) -> None:
    arch = Architecture(size=size, upsample=mode, narrow=narrow)
    encoders, generator = on_meta(Encoders, arch), on_meta(FaceGenerator, arch)
    codes = encoders(torch.empty(2, 1, size, size, device="meta"))
    image, features = generator(codes)
    assert codes.shape == (2, 5, 512)
    assert features.shape == (2, 32, size, size)
    assert image.shape == (2, 3, size, size)
    for part in PARTS:
        side = SIDES[part] * size // 512
        part_image = torch.empty(2, 1, side, side, device="meta")
        assert on_meta(Autoencoder, part, arch)(part_image).shape == part_image.shape


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_parts_are_cut_at_the_published_places(size: int) -> None:
    sketch = torch.arange(2 * size * size, dtype=torch.float32).reshape(2, 1, size, size)
    images = part_images(sketch, size)
    assert tuple(images) == PARTS
    for part, place in PLACES.items():
        x, y, side = (v * size // 512 for v in place)
        torch.testing.assert_close(images[part], sketch[:, :, y : y + side, x : x + side])


def test_the_remainder_is_white_inside_the_windows_and_the_sketch_is_not_touched() -> None:
    sketch = sketches(2, 128)
    before = sketch.clone()
    images = part_images(sketch, 128, torch.tensor([False, True]))
    assert torch.equal(sketch, before)
    images["remainder"].zero_()
    assert torch.equal(sketch, before)

    remainder = part_images(sketch, 128)["remainder"]
    outside = torch.ones(128, 128, dtype=torch.bool)
    for x, y, side in PLACES.values():
        outside[y // 4 : (y + side) // 4, x // 4 : (x + side) // 4] = False
    assert (remainder[:, 0, ~outside] == 1).all()
    assert torch.equal(remainder[:, 0, outside], sketch[:, 0, outside])
    assert 0.6 < outside.float().mean() < 0.8


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_a_mirrored_sketch_has_the_mirrored_parts(size: int) -> None:
    sketch = torch.rand(3, 1, size, size)
    straight = part_images(sketch, size)
    mirrored = part_images(sketch.flip(-1), size, torch.ones(3, dtype=torch.bool))
    for part, other in (("left_eye", "right_eye"), ("right_eye", "left_eye"), ("nose", "nose"), ("mouth", "mouth")):
        assert torch.equal(mirrored[part], straight[other].flip(-1))
    assert torch.equal(mirrored["remainder"], straight["remainder"].flip(-1))


def test_mirrored_windows_of_the_512_frame() -> None:
    column = torch.arange(512.0).expand(1, 1, 512, 512)
    images = part_images(column, 512, torch.tensor([True]))
    lefts = {part: int(image.min()) for part, image in images.items() if part != "remainder"}
    assert lefts == {"left_eye": 129, "right_eye": 276, "nose": 170, "mouth": 151}


def test_only_the_samples_that_were_mirrored_get_mirrored_windows() -> None:
    sketch = torch.rand(2, 1, 64, 64)
    mixed = part_images(sketch, 64, torch.tensor([False, True]))
    for part, image in part_images(sketch, 64).items():
        assert torch.equal(mixed[part][0], image[0])
    for part, image in part_images(sketch, 64, torch.tensor([True, True])).items():
        assert torch.equal(mixed[part][1], image[1])


def test_a_sketch_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"256×256.*128×128"):
        part_images(torch.zeros(1, 1, 256, 256), 128)


def constant_maps(size: int) -> dict[str, Tensor]:
    return {p: torch.full((1, 2, s * size // 512, s * size // 512), float(i)) for i, (p, s) in enumerate(SIDES.items())}


def test_later_maps_cover_earlier_ones_and_the_nose_loses_its_last_36_rows() -> None:
    left_eye, right_eye, nose, mouth, remainder = range(5)
    fused = fuse(constant_maps(512), 512)
    assert fused.shape == (1, 2, 512, 512)
    owner = fused[0, 1]
    assert owner[0, 0] == owner[511, 511] == owner[200, 240] == remainder
    assert (owner[156:284, 108:236] == left_eye).all()
    assert (owner[156:284, 255:383] == right_eye).all()
    assert (owner[232:356, 236:255] == nose).all()
    assert (owner[284:356, 182:342] == nose).all()
    assert (owner[356:493, 169:361] == mouth).all()
    assert (owner[301:356, 169:182] == mouth).all()
    assert (owner[301:356, 342:361] == mouth).all()
    assert owner[356, 256] == mouth
    covered = 2 * 128 * 128 + 124 * 160 - 52 * (236 - 182) - 52 * (342 - 255) + 192 * 192 - 55 * 160
    assert int((owner != remainder).sum()) == covered


@pytest.mark.parametrize(("size", "cut"), [(256, 18), (128, 9)])
def test_the_cut_of_the_nose_scales(size: int, cut: int) -> None:
    # Between the eyes' windows.
    column = fuse(constant_maps(size), size)[0, 0, :, 245 * size // 512]
    rows = (column == 2).nonzero().flatten()
    top = 232 * size // 512
    assert rows.tolist() == list(range(top, top + 160 * size // 512 - cut))


def test_fusing_places_rows_and_columns_as_they_were_cut() -> None:
    picture = torch.rand(2, 3, 128, 128)
    maps = part_images(picture, 128)
    maps["remainder"] = picture
    before = {part: image.clone() for part, image in maps.items()}
    assert torch.equal(fuse(maps, 128), picture)
    assert all(torch.equal(maps[part], before[part]) for part in maps)


@pytest.mark.parametrize("size", [64, 128, 512])
def test_mirrored_maps_fuse_to_the_mirrored_whole(size: int) -> None:
    maps = {part: torch.rand(2, 3, side * size // 512, side * size // 512) for part, side in SIDES.items()}
    swapped = {"left_eye": "right_eye", "right_eye": "left_eye"}
    mirrored = {part: maps[swapped.get(part, part)].flip(-1) for part in maps}
    whole = fuse(maps, size)
    assert torch.equal(fuse(mirrored, size, torch.tensor([True, True])), whole.flip(-1))
    assert torch.equal(fuse(maps, size, torch.tensor([False, True]))[0], whole[0])


def test_gradients_of_the_fusion_reach_what_is_seen_and_nothing_else() -> None:
    maps = {part: torch.rand(1, 1, side // 4, side // 4, requires_grad=True) for part, side in SIDES.items()}
    fuse(maps, 128).sum().backward()
    assert maps["left_eye"].grad.eq(1).all()
    assert maps["nose"].grad[..., -9:, :].eq(0).all()
    assert sum(int(m.grad.sum()) for m in maps.values()) == 128 * 128


@pytest.mark.parametrize("mode", ["transpose", "resize"])
@pytest.mark.parametrize("fm_channels", [4, 1])
def test_gradients_reach_every_weight(mode: str, fm_channels: int) -> None:
    arch = replace(SLIM, upsample=mode, fm_channels=fm_channels)
    encoders, generator = Encoders(arch).double(), FaceGenerator(arch).double()
    image, features = generator(encoders(sketches(3).double()))
    (image * torch.randn_like(image)).sum().backward()
    for name, parameter in [*encoders.named_parameters(), *generator.named_parameters()]:
        # A bias in front of a normalisation would have nothing but rounding here, about 1e-16.
        assert parameter.grad.abs().max() > 1e-10, name
    assert features.shape == (3, fm_channels, 64, 64)


@pytest.mark.parametrize("part", PARTS)
def test_gradients_reach_every_weight_of_an_autoencoder(part: str) -> None:
    net = Autoencoder(part, SLIM).double()
    side = SIDES[part] // 8
    x = sketches(3, 64)[..., :side, :side].double()
    (net(x) - x).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 1e-10, name


def test_an_autoencoder_learns_a_few_parts() -> None:
    net = Autoencoder("left_eye", SLIM)
    x = torch.ones(4, 1, 16, 16)
    for index in range(4):
        x[index, :, 3 * index + 1, 2:14] = -1
        x[index, :, 2:14, 3 * index + 2] = -1
    spread = (x - x.mean(0)).square().mean()
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(150):
        optimiser.zero_grad()
        loss = (net(x) - x).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.1 * spread


def test_codes_start_at_a_useful_scale() -> None:
    for narrow in (None, 4):
        codes = Encoders(replace(SLIM, width=16, narrow=narrow))(sketches(8))
        # Spread from sketch to sketch, part by part.
        assert (codes.std(0).mean(1) > 0.02).all()
        assert codes.abs().max() < 10


def test_feature_maps_depend_on_the_code_through_a_narrow_layer() -> None:
    decoder = FeatureDecoder("remainder", replace(SLIM, narrow=1))
    assert decoder(torch.randn(8, 24)).std(0).mean() > 0.05


@pytest.mark.parametrize(("slope", "straight"), [(1.0, True), (0.2, False)])
def test_slope_one_leaves_only_the_residual_blocks_to_bend(slope: float, straight: bool) -> None:
    encoder = Encoder("left_eye", replace(SLIM, slope=slope)).eval()
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if ".body." in name:
                parameter.zero_()
        a, b = torch.randn(2, 1, 1, 16, 16)
        bent = encoder(a) + encoder(b) - encoder(a + b) - encoder(torch.zeros_like(a))
    assert bool(bent.abs().max() < 1e-5) is straight


def test_a_batch_in_eval_mode_gives_what_each_sketch_gives_alone() -> None:
    encoders, generator = Encoders(SLIM), FaceGenerator(SLIM)
    for _ in range(3):
        generator(encoders(sketches(4)))
    encoders.eval(), generator.eval()
    x = sketches(3)
    flip = torch.tensor([True, False, True])
    with torch.no_grad():
        codes = encoders(x, flip)
        image, features = generator(codes, flip)
        for index in range(3):
            one = slice(index, index + 1)
            alone = encoders(x[one], flip[one])
            torch.testing.assert_close(alone, codes[one], atol=1e-5, rtol=1e-4)
            drawn, maps = generator(alone, flip[one])
            torch.testing.assert_close(maps, features[one], atol=1e-4, rtol=1e-3)
            torch.testing.assert_close(drawn, image[one], atol=1e-3, rtol=1e-3)
    assert image.abs().max() <= 1
    assert image.std() > 0.01


def test_each_code_moves_its_own_window_of_the_feature_map() -> None:
    generator = FaceGenerator(SLIM).eval()
    codes = torch.randn(1, 5, 24)
    for index, part in enumerate(PARTS[:4]):
        other = codes.clone()
        other[:, index] += 1
        with torch.no_grad():
            moved = (generator.features(other) - generator.features(codes)).abs().amax((0, 1)) > 0
        x, y, side = (v * 64 // 512 for v in PLACES[part])
        inside = torch.zeros(64, 64, dtype=torch.bool)
        inside[y : y + side, x : x + side] = True
        assert moved[inside].any()
        assert not moved[~inside].any()


def test_channels_last_and_bfloat16_draw_nearly_the_same() -> None:
    encoders, generator = Encoders(SLIM).eval(), FaceGenerator(SLIM).eval()
    x, flip = sketches(2), torch.tensor([True, False])
    with torch.no_grad():
        exact, _ = generator(encoders(x, flip), flip)
        encoders, generator = (net.to(memory_format=torch.channels_last) for net in (encoders, generator))
        with torch.autocast("cpu", torch.bfloat16):
            rough, features = generator(encoders(x.to(memory_format=torch.channels_last), flip), flip)
    assert features.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.1 * exact.std()


def test_one_graph_takes_flip() -> None:
    encoders, generator = Encoders(SLIM).eval(), FaceGenerator(SLIM).eval()
    whole = torch.compile(lambda x, flip: generator(encoders(x, flip), flip)[0], backend="eager", fullgraph=True)
    x, flip = sketches(2), torch.tensor([True, False])
    with torch.no_grad():
        torch.testing.assert_close(whole(x, flip), generator(encoders(x, flip), flip)[0])


def test_an_architecture_survives_json() -> None:
    arch = Architecture(size=256, narrow=16, slope=1.0, upsample="resize")
    assert Architecture(**json.loads(json.dumps(asdict(arch)))) == arch


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 300),
        ("size", 1024),
        ("latent", 0),
        ("narrow", 0),
        ("slope", 1.5),
        ("upsample", "bilinear"),
        ("downs", 9),
    ],
)
def test_values_that_no_network_can_have_are_named(key: str, value: object) -> None:
    with pytest.raises(UserError, match=key):
        Architecture(**{key: value})
