"""Pairs: pure, black on white, two pixels wide, rough and clean in the same place."""

from __future__ import annotations

import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sketchprep.errors import UserError
from sketchprep.models.simplifier.data import held_out
from sketchprep.models.simplifier.data.sampler import Mix, PairSampler

KINDS = ("curves", "line_art", "scenes")


def only(kind: str) -> Mix:
    return Mix(**{name: float(name == kind) for name in Mix().shares})


def away(ink: np.ndarray) -> np.ndarray:
    return cv2.distanceTransform((~ink).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_depends_on_seed_and_index_alone(kind: str):
    sampler = PairSampler(3, size=128, mix=only(kind))
    first = [sampler.pair(i) for i in range(4)]
    other = pickle.loads(pickle.dumps(sampler))
    for i in (2, 0, 3, 1):
        for mine, theirs in zip(first[i], other.pair(i), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    different = PairSampler(4, size=128, mix=only(kind)).pair(0)
    assert not np.array_equal(first[0][0], different[0])
    assert not np.array_equal(first[0][0], first[1][0])


def test_a_batch_is_its_pairs():
    sampler = PairSampler(0, size=64, mix=Mix.named("no-teacher"))
    rough, clean, weight = sampler.batch([7, 3])
    assert rough.shape == clean.shape == weight.shape == (2, 64, 64)
    assert (rough.dtype, clean.dtype, weight.dtype) == (np.uint8, np.uint8, np.float32)
    for name, array in zip(("rough", "clean", "weight"), sampler.pair(3), strict=True):
        np.testing.assert_array_equal({"rough": rough, "clean": clean, "weight": weight}[name][1], array)


@pytest.mark.parametrize("kind", KINDS)
def test_clean_drawings_are_thin_black_lines_on_white(kind: str):
    sampler = PairSampler(1, size=192, mix=only(kind))
    clean = [sampler.pair(i)[1] for i in range(16)]
    shares = [(picture < 128).mean() for picture in clean]
    assert 0.002 < np.mean(shares) < 0.15
    assert max(shares) < 0.3
    drawn = max(clean, key=lambda picture: (picture < 128).sum())
    assert drawn.min() == 0
    # Half the width of a line is where its distance to the paper peaks; crossings are few.
    depth = cv2.distanceTransform((drawn < 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert np.quantile(depth[depth > 0], 0.9) <= 2.0


@pytest.mark.parametrize("kind", ["curves", "line_art"])
def test_rough_ink_is_darker_than_paper_and_where_the_drawing_is(kind: str):
    sampler = PairSampler(5, size=192, mix=only(kind))
    contrasts, misses = [], []
    for i in range(24):
        rough, clean, _ = sampler.pair(i)
        line = clean < 128
        if line.mean() < 0.01:
            continue
        near = away(line) <= 4
        contrasts.append(float(np.median(rough[~near]) - rough[near].mean()))
        # The darkest pixels beside every line: how far off the line do they lie?
        field = cv2.GaussianBlur(rough, (0, 0), 1.0).astype(np.float32)
        lowest = cv2.erode(field, np.ones((11, 11), np.uint8))
        base = cv2.dilate(field, np.ones((25, 25), np.uint8))
        misses.append(float((lowest[line] > base[line] - 12).mean()))
    assert len(contrasts) >= 12
    assert np.median(contrasts) > 10
    assert np.mean(np.array(contrasts) > 0) > 0.9
    assert np.mean(misses) < 0.15


def test_roughened_lines_stay_in_place():
    from sketchprep.models.simplifier.data.roughen import roughen
    from sketchprep.models.simplifier.data.strokes import render

    circle = np.stack([100 + 60 * np.cos(np.linspace(0, 6.3, 60)), 90 + 60 * np.sin(np.linspace(0, 6.3, 60))], 1)
    truth = away(render([circle.astype(np.float32)], (192, 192)) > 128)
    offsets = []
    for seed in range(20):
        rough = roughen([circle.astype(np.float32)], np.random.default_rng(seed), 192).astype(np.float32)
        ink = np.median(rough) - rough
        ring = truth < 12
        darkest = ink[ring] > 0.6 * ink[ring].max()
        offsets.append(float(truth[ring][darkest].mean()))
    assert np.median(offsets) < 2.5
    assert max(offsets) < 6


def test_mixes_for_ablations():
    assert Mix.named("full").shares["photocopies"] == pytest.approx(0.54, abs=0.01)
    assert Mix.named("no-teacher").shares["photocopies"] == Mix.named("no-teacher").shares["teacher_lines"] == 0
    assert sum(Mix.named("no-synthetic").shares[kind] for kind in KINDS) == 0
    assert sum(Mix.named("no-synthetic").shares.values()) == pytest.approx(1)
    with pytest.raises(UserError, match="mix 'none' is unknown"):
        Mix.named("none")


def test_a_missing_cache_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cache: missing"):
        PairSampler(0)
    with pytest.raises(UserError, match="holds no training portraits"):
        PairSampler(0, cache=tmp_path, mix=only("photocopies")).pair(0)
    with pytest.raises(UserError, match="size 8"):
        PairSampler(0, size=8, mix=only("curves"))


def test_sampling_needs_no_torch():
    code = (
        "import sys\nfrom sketchprep.models.simplifier.data.sampler import Mix, PairSampler\n"
        "PairSampler(0, size=64, mix=Mix.named('no-teacher')).batch(range(4))\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_held_out_sets_are_the_same_every_time():
    for make in (held_out.drawings, held_out.scenes):
        for one, other in zip(make(3, size=96), make(3, size=96), strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.rough, other.rough)
            np.testing.assert_array_equal(one.clean, other.clean)
            assert one.rough.shape == one.clean.shape == (96, 96)


def test_a_sheet_shows_rough_beside_clean():
    from sketchprep.models.simplifier.data.sampler import pair_sheet

    sampler = PairSampler(0, size=64, mix=only("curves"))
    sheet = pair_sheet(sampler, range(3), columns=2)
    assert sheet.ndim == 3
    assert sheet.shape[1] > 4 * 64
    for column, picture in enumerate(sampler.pair(0)[:2]):
        found = cv2.matchTemplate(sheet[..., 0], picture, cv2.TM_SQDIFF)
        y, x = np.unravel_index(found.argmin(), found.shape)
        np.testing.assert_array_equal(sheet[y : y + 64, x : x + 64, 0], picture)
        assert x // 70 == column
