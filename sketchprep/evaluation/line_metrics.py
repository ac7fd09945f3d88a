"""Agreement of two line drawings: chamfer distance, precision and recall of ink, specks, share of ink."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Agreement", "agreement", "away_from", "ink", "ink_share", "specks"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a drawing agrees with the wanted one.

    Attributes
    ----------
    chamfer : float
        Mean of two figures in pixels: how far the drawn ink is from wanted ink on average, and the other way round.
    precision : float
        Share of the drawn ink within the tolerance of wanted ink, 0 to 1.
    recall : float
        Share of the wanted ink within the tolerance of drawn ink, 0 to 1.
    f : float
        Harmonic mean of precision and recall.
    """

    chamfer: float
    precision: float
    recall: float
    f: float


def ink(sketch: np.ndarray, *, level: float = 0.5) -> np.ndarray:
    """Where a soft sketch has ink.

    Parameters
    ----------
    sketch : ndarray, (H, W) uint8
        Black ink on white.
    level : float, above 0, at most 1
        How black a pixel has to be; 1 is black.

    Returns
    -------
    ndarray, (H, W) bool

    Raises
    ------
    ValueError
        For another shape, dtype or level.
    """
    if sketch.dtype != np.uint8 or sketch.ndim != 2:
        raise ValueError(f"a sketch is a uint8 array of shape (H, W), not {sketch.dtype} {sketch.shape}")
    if not 0 < level <= 1:
        raise ValueError(f"level must be above 0 and at most 1, not {level}")
    return sketch <= 255 * (1 - level)


def away_from(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels of each pixel to the nearest True one.

    Parameters
    ----------
    mask : ndarray, (H, W) bool

    Returns
    -------
    ndarray, (H, W) float32
        Exact and Euclidean; the picture's diagonal everywhere if nothing is True.
    """
    if not mask.any():
        return np.full(mask.shape, np.hypot(*mask.shape), np.float32)
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares are whole numbers; OpenCV's last bit depends on where in memory the picture lies.
    return np.sqrt(np.rint(np.square(away, dtype=np.float64))).astype(np.float32)


def agreement(
    drawn: np.ndarray, wanted: np.ndarray, *, tolerance: float = 2.0, region: np.ndarray | None = None
) -> Agreement:
    """Compare a drawing with the wanted one.

    Parameters
    ----------
    drawn, wanted : ndarray, (H, W) bool
        True on ink.
    tolerance : float
        Pixels within which ink counts as found, inclusive.
    region : ndarray, (H, W) bool, optional
        Judge only the ink in it; its partner may lie beyond, so that no line is lost along the region's border.

    Returns
    -------
    Agreement
        Where neither drawing has ink: chamfer 0, the shares 1.  Where only one has: the shares are 0, and the chamfer
        is the mean distance from that one, the picture's diagonal if the other is empty everywhere.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if drawn.shape != wanted.shape or (region is not None and region.shape != drawn.shape):
        raise ValueError(f"pictures to compare must have one shape, not {drawn.shape} and {wanted.shape}")
    to_wanted, to_drawn = away_from(wanted), away_from(drawn)
    here = slice(None) if region is None else region
    false, missed = to_wanted[here][drawn[here]], to_drawn[here][wanted[here]]
    means = [float(d.mean(dtype=np.float64)) for d in (false, missed) if d.size]
    if not means:
        return Agreement(0.0, 1.0, 1.0, 1.0)
    chamfer = float(np.mean(means))
    if not (false.size and missed.size):
        return Agreement(chamfer, 0.0, 0.0, 0.0)
    precision, recall = float((false <= tolerance).mean()), float((missed <= tolerance).mean())
    both = precision + recall
    return Agreement(chamfer, precision, recall, 2 * precision * recall / both if both else 0.0)


def specks(drawn: np.ndarray, *, below: int = 20, region: np.ndarray | None = None) -> int:
    """Number of 8-connected pieces of ink of fewer than `below` pixels.

    Parameters
    ----------
    drawn : ndarray, (H, W) bool
    below : int
        In pixels.
    region : ndarray, (H, W) bool, optional
        Count only pieces whose centre lies in it.
    """
    _, _, stats, centres = cv2.connectedComponentsWithStats(drawn.astype(np.uint8), connectivity=8)
    small = stats[1:, cv2.CC_STAT_AREA] < below
    if region is not None:
        x, y = np.rint(centres[1:]).astype(int).T
        small &= region[y, x]
    return int(small.sum())


def ink_share(drawn: np.ndarray, *, region: np.ndarray | None = None) -> float:
    """Share of the picture, or of a region, that is ink; 0 for an empty region."""
    pixels = drawn if region is None else drawn[region]
    return float(pixels.mean()) if pixels.size else 0.0
