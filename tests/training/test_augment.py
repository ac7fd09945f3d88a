"""Variations of sketches, checked by where the ink goes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from sketchprep.datasets.reader import open_pairs
from sketchprep.ops.face_parts import PARTS, windows
from sketchprep.training.augment import Augment, drop, erase, jitter, territories, thicken, vary

LANDMARKS = {  # of the 68, middle points that nobody would count to another part
    "left_eye": (18, 19, 20, 36, 37, 38, 39, 40, 41),
    "right_eye": (23, 24, 25, 42, 43, 44, 45, 46, 47),
    "nose": (29, 30, 31, 32, 33, 34, 35),
    "mouth": (48, 51, 54, 57, 62, 66),
    "remainder": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
}


def blank(size: int = 256) -> np.ndarray:
    return np.full((size, size), 255, np.uint8)


def face(size: int = 256) -> np.ndarray:
    sketch, unit = blank(size), size // 64
    cv2.ellipse(sketch, (size // 2, size * 9 // 16), (size // 4, size * 3 // 8), 0, 0, 360, 0, 2)
    for x in (24, 40):
        cv2.ellipse(sketch, (x * unit, 31 * unit), (4 * unit, 2 * unit), 0, 0, 360, 0, 2)
    cv2.line(sketch, (32 * unit, 33 * unit), (31 * unit, 41 * unit), 0, 2)
    cv2.line(sketch, (26 * unit, 47 * unit), (38 * unit, 47 * unit), 0, 2)
    return sketch


def ink(sketch: np.ndarray) -> float:
    return float((255.0 - sketch).sum() / 255)


def pieces(sketch: np.ndarray) -> int:
    return cv2.connectedComponents((sketch < 128).view(np.uint8))[0] - 1


@pytest.mark.parametrize("seed", range(5))
def test_jitter_moves_lines_a_little_and_keeps_them_whole(seed: int) -> None:
    before = face()
    after = jitter(before, np.random.default_rng(seed), pixels=2)
    moved = cv2.distanceTransform((before >= 128).view(np.uint8), cv2.DIST_L2, 5)[after < 128]
    assert 0.3 < moved.mean() < 4
    assert moved.max() < 12
    assert ink(after) == pytest.approx(ink(before), rel=0.12)
    assert pieces(after) == pieces(before)


def test_jitter_by_nothing_changes_nothing_and_no_border_is_drawn() -> None:
    np.testing.assert_array_equal(jitter(face(), np.random.default_rng(0), pixels=0), face())
    np.testing.assert_array_equal(jitter(blank(), np.random.default_rng(0), pixels=20), blank())


def test_jitter_is_the_same_at_another_size() -> None:
    large = jitter(face(512), np.random.default_rng(3), pixels=8)
    small = jitter(cv2.resize(face(512), (128, 128), interpolation=cv2.INTER_AREA), np.random.default_rng(3), pixels=2)
    shrunk = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
    unmoved = cv2.resize(face(512), (128, 128), interpolation=cv2.INTER_AREA)

    def difference(other: np.ndarray) -> float:
        blurred = (cv2.GaussianBlur(v, (0, 0), 1.0).astype(float) for v in (small, other))
        return float(np.abs(np.subtract(*blurred)).mean())

    assert difference(shrunk) < 0.5 * difference(unmoved)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_drop_leaves_out_about_the_share(share: float) -> None:
    before, lost = face(), []
    for seed in range(40):
        after = drop(before, np.random.default_rng(seed), share=share)
        assert set(np.unique(after[after != before])) <= {255}
        lost.append(1 - ink(after) / ink(before))
    assert np.mean(lost) == pytest.approx(share, abs=0.05)


def test_drop_takes_stretches_not_specks() -> None:
    before = face(512)
    after = drop(before, np.random.default_rng(0), share=0.2)
    _, _, stats, _ = cv2.connectedComponentsWithStats((after != before).view(np.uint8))
    assert np.median(stats[1:, cv2.CC_STAT_AREA]) > 40


def widths(sketch: np.ndarray) -> tuple[float, float]:
    """Ink per column of a thick and of a thin horizontal line."""
    columns = (255.0 - sketch[:, 40:216]).mean(axis=1) / 255
    return float(columns[:128].sum()), float(columns[128:].sum())


@pytest.mark.parametrize("pixels", [-2, -1, 0.5, 1, 2, 3.3])
def test_thicken_changes_the_width_by_that_many_pixels(pixels: float) -> None:
    sketch = blank()
    sketch[60:66, 10:246] = 0
    sketch[200, 10:246] = 0
    thick, thin = widths(thicken(sketch, pixels=pixels))
    assert thick == pytest.approx(6 + pixels, abs=0.02)
    assert thin == pytest.approx(1 + max(pixels, 0), abs=0.02)


@pytest.mark.parametrize("pixels", [-8, -3, -1.5])
def test_finer_lines_do_not_vanish(pixels: float) -> None:
    before = face()
    after = thicken(before, pixels=pixels)
    lost = cv2.distanceTransform((after >= 128).view(np.uint8), cv2.DIST_L2, 5)[before < 128]
    assert lost.max() < 3
    assert (after >= before).all()
    assert ink(after) < 0.8 * ink(before)


@pytest.mark.parametrize("part", PARTS)
def test_erase_takes_one_part_and_leaves_the_others(part: str, built: Path) -> None:
    for pair in open_pairs(built):
        after = erase(pair.sketch, [part], landmarks=pair.landmarks)
        assert pair.landmarks is not None
        owner = territories(128, pair.landmarks)
        inside = owner == PARTS.index(part)
        assert (after[inside] == 255).all()
        np.testing.assert_array_equal(after[~inside], pair.sketch[~inside])
        assert ink(pair.sketch) > ink(after)


@pytest.mark.parametrize("known", [True, False])
def test_each_landmark_lies_in_its_own_part(known: bool, built: Path) -> None:
    right = total = 0
    for pair in open_pairs(built):
        assert pair.landmarks is not None
        owner = territories(128, pair.landmarks if known else None)
        for part, members in LANDMARKS.items():
            at = np.rint(pair.landmarks[list(members)]).astype(int)
            found = owner[at[:, 1], at[:, 0]] == PARTS.index(part)
            right, total = right + found.sum(), total + len(found)
    assert right >= (0.97 if known else 0.95) * total


def test_inner_parts_stay_inside_their_windows() -> None:
    owner = territories(512)
    for part in PARTS[:4]:
        y, x = np.nonzero(owner == PARTS.index(part))
        window = windows(512)[part]
        inside = (x >= window.x) & (x < window.x + window.width) & (y >= window.y) & (y < window.y + window.height)
        assert inside.mean() > 0.9


def test_vary_depends_on_its_generator_alone() -> None:
    settings = Augment(jitter=6, dropout=0.3, thickness=3, erase_part=0.5)
    first, again, other = (vary(face(), np.random.default_rng(s), settings) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_vary_without_settings_or_ink_changes_nothing() -> None:
    full = Augment(jitter=6, dropout=0.3, thickness=3, erase_part=1)
    np.testing.assert_array_equal(vary(face(), np.random.default_rng(0), Augment()), face())
    np.testing.assert_array_equal(vary(blank(), np.random.default_rng(0), full), blank())


def test_an_unfinished_sketch_has_something_left() -> None:
    drawn = np.zeros((256, 256), np.uint8)  # ink everywhere, so that each part shows
    owner = territories(256)
    counts = set()
    for seed in range(60):
        after = vary(drawn, np.random.default_rng(seed), Augment(erase_part=1))
        missing = [i for i in range(len(PARTS)) if (after[owner == i] == 255).all()]
        assert (after[~np.isin(owner, missing)] == 0).all()
        counts.add(len(missing))
    assert counts == {1, 2, 3, 4}


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"jitter": -1}, {"dropout": 1}, {"erase": 0.1}, {"jitter": "nan"}])
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Augment(**wrong)
