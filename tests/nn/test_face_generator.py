"""The face generator: its transform, its shapes, and, with the real weights, the numbers of the original's runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sketchprep.core import weights
from sketchprep.nn import face_generator
from sketchprep.nn.face_generator import FaceGenerator, inverse_haar, load_face_generator


def test_inverse_haar_undoes_the_haar_transform() -> None:
    picture = torch.randn(2, 3, 8, 8)
    a, b, c, d = (picture[:, :, y::2, x::2] for y in (0, 1) for x in (0, 1))
    low = (a + b + c + d) / 2
    details = torch.stack([(a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2], 2)
    torch.testing.assert_close(inverse_haar(torch.cat([low, details.flatten(1, 2)], 1)), picture)


@pytest.fixture(scope="module")
def small() -> FaceGenerator:
    """Random weights; pictures are large whatever they are, so tests stop at early maps."""
    torch.manual_seed(0)
    net = FaceGenerator().eval()
    torch.nn.init.normal_(net.input)  # zero without the published weights
    return net


def test_maps_double_and_rows_steer_their_own_layers(small: FaceGenerator) -> None:
    w = torch.randn(2, face_generator.STYLE_DIM)
    with torch.no_grad():
        first, second = small.features(w, blocks=1), small.features(w, blocks=2)
        assert (first.shape, second.shape) == ((2, 512, 8, 8), (2, 512, 16, 16))
        rows = w[:, None].repeat(1, face_generator.LAYERS, 1)
        torch.testing.assert_close(small.features(rows, blocks=1), first)
        rows[:, 4:] = 0  # rows of later blocks
        torch.testing.assert_close(small.features(rows, blocks=1), first)
        rows[:, 3] = 0
        assert not torch.allclose(small.features(rows, blocks=1), first)
    with pytest.raises(ValueError, match=r"\(batch, 23, 512\)"):
        small.features(rows[:, :9], blocks=1)


def test_a_gradient_reaches_w(small: FaceGenerator) -> None:
    w = torch.randn(1, face_generator.STYLE_DIM, requires_grad=True)
    small.features(w, blocks=1).square().mean().backward()
    assert w.grad is not None
    assert bool((w.grad != 0).all())


@pytest.mark.integration
def test_the_real_weights_draw_what_the_originals_runtime_draws() -> None:
    net = load_face_generator(weights.path("face-generator"))
    with np.load(Path(__file__).with_name("face_generator.npz")) as theirs, torch.no_grad():
        w = net.map(torch.from_numpy(theirs["z"]))
        assert np.abs(w.numpy() - theirs["w"]).max() < 1e-4
        face = net.synthesize(torch.from_numpy(theirs["in_w"]))[0].numpy()
        assert face.shape == (3, 1024, 1024)
        assert np.abs(face[:, 480:512, 400:432] - theirs["crop"]).max() < 1e-3
        assert np.abs(face[:, :16, :16] - theirs["corner"]).max() < 1e-3
