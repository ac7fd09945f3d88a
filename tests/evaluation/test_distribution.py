"""Distances of sets against values worked out by hand, by brute force, or known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from sketchprep.evaluation.distribution import frechet_distance, kernel_distance


def test_two_points_against_two_others_by_hand() -> None:
    # All of a set in one place, the places one apart: within a set k = 1, across k = exp(-1/2).
    found = kernel_distance(np.zeros((2, 1)), np.ones((2, 1)), bandwidth=1)
    assert found.value == pytest.approx(2 - 2 * np.exp(-0.5))
    assert np.isnan(found.low)
    assert np.isnan(kernel_distance(np.zeros((1, 1)), np.ones((1, 1))).value)


def plainly(made: np.ndarray, real: np.ndarray, bandwidth: float) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * bandwidth**2)))

    pairs = [(i, j) for i in range(len(made)) for j in range(len(made)) if i != j]
    terms = [
        k(made[i], made[j]) + k(real[i], real[j]) - k(made[i], real[j]) - k(made[j], real[i]) for i, j in pairs
    ]  # fmt: skip
    return float(np.mean(terms))


def test_value_and_jackknife_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(1)
    made, real = rng.normal(size=(6, 3)), rng.normal(0.5, 1, size=(6, 3))
    found = kernel_distance(made, real, bandwidth=0.8)
    assert found.value == pytest.approx(plainly(made, real, 0.8))
    left = [plainly(np.delete(made, i, 0), np.delete(real, i, 0), 0.8) for i in range(6)]
    deviation = np.sqrt(5 / 6 * np.sum((left - np.mean(left)) ** 2))
    assert found.high - found.value == pytest.approx(1.96 * deviation)
    assert found.value - found.low == pytest.approx(1.96 * deviation)


def test_the_interval_holds_the_true_value_about_as_often_as_it_says() -> None:
    # Normal sets one apart: E k within is s / sqrt(s² + 2), across that times exp(-1 / (2 (s² + 2))).
    rng, s = np.random.default_rng(2), 0.6
    true = 2 * s / np.sqrt(s**2 + 2) * (1 - np.exp(-1 / (2 * (s**2 + 2))))
    found = []
    for _ in range(300):
        made = rng.normal(size=(50, 1))
        # Results depend on their photos: the rows are pairs.
        real = 1 + 0.8 * made + 0.6 * rng.normal(size=(50, 1))
        found.append(kernel_distance(made, real, bandwidth=s))
    assert np.mean([e.low <= true <= e.high for e in found]) == pytest.approx(0.95, abs=0.04)
    assert np.mean([e.value for e in found]) == pytest.approx(true, rel=0.03)


def test_equal_sets_are_not_apart() -> None:
    same = np.random.default_rng(3).normal(size=(200, 4))
    assert kernel_distance(same, same).value == pytest.approx(0, abs=1e-12)
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-9)


def test_frechet_by_hand_and_by_a_matrix_root() -> None:
    # Means 2 and 6, deviations 2 and 1: (6 - 2)² + (2 - 1)².
    assert frechet_distance(np.array([[0.0], [2], [4]]), np.array([[5.0], [6], [7]])) == pytest.approx(17)
    rng = np.random.default_rng(4)
    a, b = (rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5)) for _ in range(2))
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(a, b) == pytest.approx(wanted)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="4 rows are too few for 4 features"):
        frechet_distance(np.zeros((4, 4)), np.zeros((4, 4)))
    with pytest.raises(ValueError, match="one shape"):
        kernel_distance(np.zeros((4, 4)), np.zeros((3, 4)))
