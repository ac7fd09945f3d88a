"""Spoilt sketches: what is lost, where, and by how much."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from drawn_faces import draw

from sketchprep.evaluation.degrade import KINDS, degrade
from sketchprep.evaluation.line_metrics import away_from
from sketchprep.training.augment import territories

SIZE = 256


@pytest.fixture(scope="module")
def sketch() -> np.ndarray:
    return draw(5, SIZE)[1]


def ink(image: np.ndarray) -> np.ndarray:
    return image < 128


@pytest.mark.parametrize("kind", list(KINDS))
def test_one_picture_is_spoilt_in_one_way_and_another_in_another(sketch: np.ndarray, kind: str) -> None:
    before, amount = sketch.copy(), {"drop": 0.5, "erase": 2}.get(kind, 6)
    first = degrade(sketch, kind, amount, name="a")
    assert first.dtype == np.uint8
    assert first.shape == sketch.shape
    assert (first == degrade(sketch, kind, amount, name="a")).all()
    assert (degrade(sketch, kind, 0, name="a") == sketch).all()
    assert (sketch == before).all()
    assert (first != sketch).any()
    others = [degrade(sketch, kind, amount, name=name) for name in "bcdefg"]
    assert any((first != other).any() for other in others) == (kind != "thicken")
    assert any((first != degrade(sketch, kind, amount, name="a", seed=s)).any() for s in range(1, 6)) == (
        kind != "thicken"
    )


def test_lines_wander_further_in_the_same_direction(sketch: np.ndarray) -> None:
    off = []
    for amount in (2, 4, 8, 16):
        moved = degrade(sketch, "jitter", amount, name="a")
        off.append(away_from(ink(sketch))[ink(moved)].mean())
        assert ink(moved).mean() == pytest.approx(ink(sketch).mean(), rel=0.2)
    assert off == sorted(off)
    assert off[-1] > 3 * off[0]


def test_what_was_left_out_stays_out(sketch: np.ndarray) -> None:
    left = []
    for share in (0.15, 0.3, 0.5, 0.7):
        spoilt = [ink(degrade(sketch, "drop", share, name=str(name))) for name in range(12)]
        left.append(spoilt)
        # Cells differ in how much ink they hold: the share is met on average.
        kept = np.mean([one.sum() for one in spoilt]) / ink(sketch).sum()
        assert kept == pytest.approx(1 - share, abs=0.12)
    for less, more in pairwise(left):
        assert all(not (b & ~a).any() for a, b in zip(less, more, strict=True))


def test_thick_lines_are_thick_and_soft(sketch: np.ndarray) -> None:
    page = np.full((SIZE, SIZE), 255, np.uint8)
    cv2.line(page, (128, 0), (128, 255), 0, 2)
    widths = [int(ink(degrade(page, "thicken", amount, name="a"))[128].sum()) for amount in (0, 4, 8)]
    # 4 px at 512 are 2 px here.
    assert widths[1] - widths[0] == pytest.approx(2, abs=1)
    assert widths[2] - widths[0] == pytest.approx(4, abs=1)
    soft = degrade(page, "thicken", 8, name="a")[128]
    assert ((soft > 20) & (soft < 235)).sum() >= 4


def test_parts_go_one_after_the_other_and_whole(sketch: np.ndarray) -> None:
    owner = territories(SIZE)
    for name in "abc":
        shown = [ink(degrade(sketch, "erase", count, name=name)) for count in range(6)]
        assert all(not (b & ~a).any() for a, b in pairwise(shown))
        assert not shown[5].any()
        # The ink of each part is all there or all gone.
        whole = [ink(sketch)[owner == at].sum() for at in range(5)]
        kept = [[one[owner == at].sum() / whole[at] for at in range(5)] for one in shown]
        assert [sorted(np.round(shares, 6)) for shares in kept] == [[0] * n + [1] * (5 - n) for n in range(6)]
        assert (np.diff([one.sum() for one in shown]) < 0).all()


def test_landmarks_tell_where_the_parts_are(sketch: np.ndarray) -> None:
    low = np.roll(sketch, 20, axis=0)
    points = np.full((68, 2), (128.0, 300.0))
    assert (degrade(low, "erase", 3, name="a") != degrade(low, "erase", 3, name="a", landmarks=points)).any()


def test_an_unknown_kind_is_refused(sketch: np.ndarray) -> None:
    with pytest.raises(ValueError, match="'smear' is no degradation"):
        degrade(sketch, "smear", 1, name="a")
