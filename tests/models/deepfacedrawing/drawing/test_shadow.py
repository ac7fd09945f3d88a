"""The shadow: what neighbours look like, faintly, where the parts are."""

from __future__ import annotations

import numpy as np

from sketchprep.models.deepfacedrawing.drawing.manifold import Projection
from sketchprep.models.deepfacedrawing.drawing.shadow import FAINTNESS, shadows, soft_mask, under
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.face_parts import windows


def test_a_mask_is_soft_and_symmetric() -> None:
    mask = soft_mask(32)
    assert mask[16, 16] == 1
    assert mask[0].max() < 1e-3
    assert np.array_equal(mask, mask[::-1])
    assert np.array_equal(mask, mask.T)
    assert np.abs(np.diff(mask, axis=1)).max() < 0.35


def test_the_shadow_is_faint_and_shows_the_neighbours(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    projection = synthesizer.project(synthesizer.encode(sketches), k=6)
    found = shadows(synthesizer, projection)
    assert found.shape == sketches.shape
    assert found.dtype == np.uint8
    assert found.min() >= round(255 * (1 - FAINTNESS))
    assert found.max() > 235  # paper stays light
    for shade, sketch in zip(found, sketches, strict=True):
        ink, paper = sketch < 100, sketch > 250
        assert shade[ink].mean() < shade[paper].mean() - 10


def test_only_the_neighbours_named_are_seen(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    assert synthesizer.bank is not None
    projection = synthesizer.project(synthesizer.encode(sketches[:1]), k=2)
    one = Projection(projection.projected, projection.indices, projection.weights.clone())
    one.weights[..., 0], one.weights[..., 1] = 1.4, -0.4
    alone = synthesizer.project(synthesizer.encode(sketches[:1]), k=1)
    assert np.array_equal(
        shadows(synthesizer, one), shadows(synthesizer, alone)
    )  # below 0 nothing, above a half no more
    nose = windows(64)["nose"]
    moved = Projection(one.projected, one.indices.clone(), one.weights)
    moved.indices[0, 2] = (moved.indices[0, 2] + 7) % len(synthesizer.bank)
    changed = shadows(synthesizer, one)[0] != shadows(synthesizer, moved)[0]
    assert changed[nose.slices].any()
    changed[nose.slices] = False
    assert not changed.any()


def test_a_batch_has_the_shadows_of_its_sketches(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    codes = synthesizer.encode(sketches)
    together = shadows(synthesizer, synthesizer.project(codes))
    for at in range(len(sketches)):
        single = shadows(synthesizer, synthesizer.project(codes[at : at + 1]))[0]
        assert np.abs(single.astype(int) - together[at]).max() <= 1


def test_the_drawing_lies_over_its_shadow(sketches: np.ndarray) -> None:
    shade = np.full((64, 64), 200, np.uint8)
    page = under(shade, sketches[0])
    assert (page[sketches[0] == 255] == 200).all()
    assert (page[sketches[0] == 0] == 0).all()
