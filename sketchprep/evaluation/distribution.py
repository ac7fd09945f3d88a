"""Distances between two sets of feature vectors: kernel distance with its interval, and Fréchet distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["BANDWIDTH", "Estimate", "frechet_distance", "kernel_distance"]

# Two photos of one person are closer than this in dlib's descriptor, as its author measured it.
BANDWIDTH = 0.6


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of a whole set, the interval in which it lies with 95 % confidence, and the number of pictures."""

    value: float
    low: float
    high: float
    count: int


def kernel_distance(made: np.ndarray, real: np.ndarray, *, bandwidth: float | None = BANDWIDTH) -> Estimate:
    """Squared maximum mean discrepancy under a kernel, unbiased, with a jackknife interval.

    0 means that the kernel sees no difference; an estimate of 0 may come out a little negative.  Pictures made from the
    sketch of a photo depend on that photo, so terms of one row in both sets are left out: what remains is unbiased if
    the rows are independent of each other.

    Parameters
    ----------
    made, real : ndarray of float, shape (N, D)
        Row n of one belongs to row n of the other.
    bandwidth : float or None
        σ of exp(−‖a − b‖² / 2σ²), in the features' unit; fixed, so that figures of several models compare.  None for
        the cubic kernel (a·b / D + 1)³ of the kernel inception distance.

    Returns
    -------
    Estimate
        The interval is the estimate ± 1.96 jackknife deviations, NaN below three rows; all is NaN below two.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    A. Gretton et al., "A kernel two-sample test", JMLR 2012, lemma 6; M. Bińkowski et al., "Demystifying MMD GANs",
    ICLR 2018; S. Jayasumana et al., "Rethinking FID", CVPR 2024 (Gaussian kernel); J. N. Arvesen, "Jackknifing
    U-statistics", Annals of Mathematical Statistics 1969.
    """
    made, real = _checked(made, real)
    count, nan = len(made), float("nan")
    if count < 2:
        return Estimate(nan, nan, nan, count)
    mixed = _kernel(made, real, bandwidth)
    terms = _kernel(made, made, bandwidth) + _kernel(real, real, bandwidth) - mixed - mixed.T
    np.fill_diagonal(terms, 0)
    rows = terms.sum(1)
    value = float(rows.sum() / (count * (count - 1)))
    if count < 3:
        return Estimate(value, nan, nan, count)
    without = (rows.sum() - 2 * rows) / ((count - 1) * (count - 2))
    reach = 1.96 * float(np.sqrt((count - 1) * np.var(without)))
    return Estimate(value, value - reach, value + reach, count)


def _kernel(a: np.ndarray, b: np.ndarray, bandwidth: float | None) -> np.ndarray:
    if bandwidth is None:
        return (a @ b.T / a.shape[1] + 1) ** 3
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.exp(-np.maximum(squares, 0) / (2 * bandwidth**2))


def frechet_distance(made: np.ndarray, real: np.ndarray) -> float:
    """Squared Fréchet distance of the normal distributions with the sets' means and covariances.

    Biased upwards the more, the fewer the rows: only figures from the same number of rows compare.

    Parameters
    ----------
    made, real : ndarray of float, shape (N, D)

    Raises
    ------
    ValueError
        If the shapes differ, or if there are no more rows than features: the covariances would be singular.

    References
    ----------
    D. C. Dowson, B. V. Landau, "The Fréchet distance between multivariate normal distributions", Journal of
    Multivariate Analysis 1982; M. Heusel et al., "GANs trained by a two time-scale update rule", NIPS 2017.
    """
    made, real = _checked(made, real)
    if len(made) <= made.shape[1]:
        raise ValueError(f"{len(made)} rows are too few for {made.shape[1]} features")
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (made, real))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    apart = np.square(made.mean(0) - real.mean(0)).sum()
    return float(apart + np.trace(first) + np.trace(second) - 2 * shared)


def _checked(made: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if made.shape != real.shape or made.ndim != 2:
        raise ValueError(f"two sets of one shape (N, D) are compared, not {made.shape} and {real.shape}")
    return made.astype(np.float64), real.astype(np.float64)
