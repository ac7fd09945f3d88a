"""Means over pictures with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Mean", "interval"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over pictures, the interval in which it lies with 95 % confidence, and the median."""

    mean: float
    low: float
    high: float
    median: float
    count: int


def interval(
    values: Sequence[float], groups: Sequence[str] | None = None, *, resamples: int = 2000, seed: int = 0
) -> Mean:
    """Mean with a 95 % percentile bootstrap interval.

    Parameters
    ----------
    values : sequence of float
        One for each picture.
    groups : sequence of str, optional
        Pictures of one group, for instance of one person, are drawn together, since they are not independent.
    resamples : int
        At least 1.
    seed : int

    Returns
    -------
    Mean
        The count is 0 and all else NaN where there are no values.

    References
    ----------
    B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    data = np.asarray(values, np.float64)
    if data.size == 0:
        nothing = float("nan")
        return Mean(nothing, nothing, nothing, nothing, 0)
    names = np.arange(len(data)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, counts = np.bincount(names, data), np.bincount(names)
    rng = np.random.default_rng([seed, len(data)])
    picks = rng.integers(0, len(sums), (resamples, len(sums)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Mean(float(data.mean()), float(low), float(high), float(np.median(data)), len(data))
