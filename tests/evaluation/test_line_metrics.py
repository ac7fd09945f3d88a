"""Metrics of drawings, on lines whose distances are known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.evaluation.bootstrap import interval
from sketchprep.evaluation.line_metrics import agreement, away_from, ink, ink_share, specks

SIDE = 100


def line(row: int, columns: slice = slice(None)) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[row, columns] = True
    return mask


@pytest.mark.parametrize("shift", [0, 1, 2, 3, 7])
def test_a_shifted_line_is_as_far_off_as_it_was_shifted(shift: int) -> None:
    found = agreement(line(40 + shift), line(40), tolerance=2)
    assert found.chamfer == pytest.approx(shift)
    assert (found.precision, found.recall, found.f) == ((1, 1, 1) if shift <= 2 else (0, 0, 0))


def test_a_half_erased_line_loses_half_its_recall_and_no_precision() -> None:
    found = agreement(line(40, slice(0, 50)), line(40), tolerance=2)
    assert found.precision == 1
    assert found.recall == pytest.approx(0.52)  # the two pixels past the end are within the tolerance
    assert found.f == pytest.approx(2 * 0.52 / 1.52)
    assert found.chamfer == pytest.approx((0 + sum(range(1, 51)) / 100) / 2)


def test_a_line_too_many_loses_half_the_precision_and_no_recall() -> None:
    found = agreement(line(40) | line(60), line(40), tolerance=2)
    assert (found.precision, found.recall) == (0.5, 1)
    assert found.chamfer == pytest.approx(20 / 2 / 2)


def test_swapping_the_drawings_swaps_precision_and_recall() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, SIDE, SIDE)) < 0.01
    there, back = agreement(one, other), agreement(other, one)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert there.chamfer == pytest.approx(back.chamfer)
    assert there.precision != there.recall


def test_a_region_judges_its_own_ink_but_finds_partners_beyond() -> None:
    top = np.zeros((SIDE, SIDE), bool)
    top[:41] = True
    found = agreement(line(40) | line(80), line(41) | line(60), tolerance=2, region=top)
    assert (found.precision, found.recall) == (0, 0)  # wanted ink lies below the region: nothing to recall in it
    assert found.chamfer == pytest.approx(1)
    below = agreement(line(40) | line(80), line(41) | line(60), tolerance=2, region=~top)
    assert (below.precision, below.recall) == (0, 0.5)
    assert below.chamfer == pytest.approx((20 + (1 + 20) / 2) / 2)


def test_blank_drawings_count_as_a_whole_diagonal_off() -> None:
    blank = np.zeros((SIDE, SIDE), bool)
    assert agreement(blank, blank).f == 1
    for found in (agreement(blank, line(3)), agreement(line(3), blank)):
        assert (found.precision, found.recall, found.f) == (0, 0, 0)
        assert found.chamfer == pytest.approx(np.hypot(SIDE, SIDE))


def test_distances_are_exact_along_diagonals() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10, 10] = True
    assert away_from(mask)[13, 14] == pytest.approx(5, abs=1e-5)


def test_pictures_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        agreement(line(3), line(3)[:50])


def test_ink_is_what_is_at_least_as_black_as_the_level() -> None:
    tones = np.array([[0, 63, 64, 127, 128, 255]], np.uint8)
    assert ink(tones).tolist() == [[True, True, True, True, False, False]]
    assert ink(tones, level=0.75).tolist() == [[True, True, False, False, False, False]]
    assert ink(tones, level=1).tolist() == [[True, False, False, False, False, False]]
    with pytest.raises(ValueError, match="level"):
        ink(tones, level=0)
    with pytest.raises(ValueError, match="float"):
        ink(tones.astype(float))


def test_specks_are_pieces_below_the_size_wherever_corners_touch() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:14, 10:15] = True  # 20 pixels: no speck
    mask[50:54, 10:15] = True
    mask[53, 14] = False  # 19
    for i in range(25):
        mask[70 + i, 40 + i] = True  # 25 pixels joined by corners: one piece
    assert specks(mask, below=20) == 1
    assert specks(mask, below=26) == 3
    upper = np.zeros_like(mask)
    upper[:40] = True
    assert (specks(mask, below=26, region=upper), specks(mask, below=26, region=~upper)) == (1, 2)
    assert specks(np.zeros_like(mask)) == 0


def test_ink_share_is_taken_of_the_region() -> None:
    region = np.zeros((SIDE, SIDE), bool)
    region[:10] = True
    assert ink_share(line(3)) == 0.01
    assert ink_share(line(3), region=region) == 0.1
    assert ink_share(line(3), region=np.zeros_like(region)) == 0


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = interval(rng.normal(5, 2, 60).tolist(), resamples=400)
        hits += found.low <= 5 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_copies_of_a_person_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, 20).tolist()
    people = [f"p{i}" for i in range(20)]
    alone = interval(values, people)
    twice = interval(values * 2, people * 2)
    blind = interval(values * 2)
    assert twice.mean == pytest.approx(alone.mean)
    assert twice.high - twice.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert blind.high - blind.low < 0.85 * (twice.high - twice.low)


def test_the_interval_is_the_same_each_time_and_empty_for_no_values() -> None:
    values = np.random.default_rng(3).random(30).tolist()
    assert interval(values) == interval(values)
    assert interval(values) != interval(values, seed=1)
    assert interval([]).count == 0
    assert np.isnan(interval([]).mean)
