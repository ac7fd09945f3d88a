"""Directions in W along which a generator's pictures change: found without labels, read from files, and applied.

GANSpace (Härkönen et al., NeurIPS 2020) takes the principal components of w; SeFa (Shen and Zhou, CVPR 2021) the
singular vectors of the modulation weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sketchprep.errors import UserError
from sketchprep.io.files import atomic

__all__ = ["Directions", "edit", "factorise", "fit_ganspace", "interpolate", "interpolate_mapping", "read_directions"]

CHUNK = 10_000
LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class Directions:
    """Directions in W with their sizes.

    Attributes
    ----------
    components : ndarray of float32, shape (N, style_dim) or (N, rows, style_dim)
        Of length 1 where they were found here; files of others bring theirs as they are.
    sizes : ndarray of float32, shape (N,)
        What a strength of 1 stands for: the standard deviation of w along a principal component, else 1.
    mean : ndarray of float32, shape (style_dim,), or None
        Of w.
    """

    components: np.ndarray
    sizes: np.ndarray
    mean: np.ndarray | None = None

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file with GANSpace's names: lat_comp (N, 1, style_dim), lat_stdev, lat_mean."""
        arrays = {"lat_comp": self.components[:, None], "lat_stdev": self.sizes}
        if self.mean is not None:
            arrays["lat_mean"] = self.mean[None]
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def fit_ganspace(w: np.ndarray, components: int) -> Directions:
    """Principal components of samples of w.

    The covariance is exact, where the original approaches it batch by batch: at 512 numbers it costs nothing.

    Parameters
    ----------
    w : ndarray of float, shape (samples, style_dim)
        From the mapping network; GANSpace takes 300,000 to 1,000,000.
    components : int

    Returns
    -------
    Directions
        The one with the largest variance first; the largest number of each is positive.
    """
    w = np.asarray(w)
    mean = w.mean(0, dtype=np.float64)
    covariance = np.zeros((w.shape[1], w.shape[1]))
    for first in range(0, len(w), CHUNK):
        centred = w[first : first + CHUNK] - mean
        covariance += centred.T @ centred
    values, vectors = np.linalg.eigh(covariance / (len(w) - 1))
    order = np.argsort(values)[::-1][:components]
    found = _signed(vectors[:, order].T)
    return Directions(found, np.sqrt(np.maximum(values[order], 0)).astype(np.float32), mean.astype(np.float32))


def factorise(state: Mapping[str, Tensor], components: int) -> Directions:
    """SeFa: right singular vectors of the stacked modulation weights of a generator's state.

    As in the common port the layers to RGB are left out, but for the one at 4×4.
    """
    weights = [value for name, value in state.items() if name.endswith("modulation.weight") and "to_rgbs" not in name]
    stacked = torch.cat(weights).double()
    vectors = torch.linalg.svd(stacked, full_matrices=False).Vh[:components]
    return Directions(_signed(vectors.numpy()), np.ones(len(vectors), np.float32))


def _signed(vectors: np.ndarray) -> np.ndarray:
    """A direction's sign is free: its largest number is made positive, so that files compare."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1)
    return (vectors * np.sign(largest)).astype(np.float32)


def edit(wplus: Tensor, direction: Tensor, strength: float, *, rows: tuple[int, int] | None = None) -> Tensor:
    """Move w+ along a direction.

    Applied to what truncation gave, so that a strength means the same at any psi.

    Parameters
    ----------
    wplus : Tensor, shape (batch, rows, style_dim)
    direction : Tensor, shape (style_dim,) or (rows, style_dim)
        Times its size.
    strength : float
    rows : pair of int, optional
        First and last row that move; default all.
    """
    first, last = rows if rows is not None else (0, wplus.shape[1] - 1)
    if not 0 <= first <= last < wplus.shape[1]:
        raise UserError(f"rows={first}-{last}: w+ has rows 0 to {wplus.shape[1] - 1}")
    moved = wplus.clone()
    step = direction if direction.ndim == 1 else direction[first : last + 1]
    moved[:, first : last + 1] += strength * step
    return moved


def interpolate(one: Tensor, other: Tensor, alpha: float) -> Tensor:
    """The point between two w, or w+."""
    return (1 - alpha) * one + alpha * other


def interpolate_mapping(one: Mapping[str, Tensor], other: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """State of a generator whose mapping network lies between those of two; the rest is the first one's."""
    mixed = {name: interpolate(value, other[name], alpha) for name, value in one.items() if name.startswith("style.")}
    return {**one, **mixed}


def read_directions(path: str | Path, *, style_dim: int = 512) -> Directions:
    """Read directions of others: GANSpace's ``.npz``, or tensors in ``.pt`` and ``.npy`` files as e4e and others have.

    Parameters
    ----------
    path : path
        Tensors may have the shape (style_dim,), (1, style_dim), (N, style_dim), or (1, rows, style_dim).
    style_dim : int

    Raises
    ------
    UserError
        If the file is missing, cannot be read without running what lies in it, or holds other shapes.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of directions")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{path}: is larger than {LARGEST_FILE:,} bytes, which directions are not")
    try:
        found = _from_file(path)
    except Exception as error:  # torch and numpy raise many kinds for what they cannot or must not read
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise UserError(f"{path}: cannot be read as directions ({reason})") from None
    if found.components.ndim not in (2, 3) or found.components.shape[-1] != style_dim:
        raise UserError(f"{path}: holds directions of shape {found.components.shape}, expected (N, {style_dim})")
    if not (np.isfinite(found.components).all() and np.isfinite(found.sizes).all()):
        raise UserError(f"{path}: holds numbers that are not finite")
    return found


def _from_file(path: Path) -> Directions:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            components = np.asarray(file["lat_comp"], np.float32)
            mean = np.asarray(file["lat_mean"], np.float32).reshape(-1) if "lat_mean" in file else None
            return Directions(components.reshape(len(components), -1), np.asarray(file["lat_stdev"], np.float32), mean)
    content = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _torch_file(path)
    if isinstance(content, Mapping):  # e4e's ffhq_pca.pt
        components = np.asarray(content["comp"], np.float32)
        mean = np.asarray(content["mean"], np.float32).reshape(-1)
        return Directions(components.reshape(len(components), -1), np.asarray(content["std"], np.float32), mean)
    vectors = np.asarray(content, np.float32)
    vectors = vectors[None] if vectors.ndim == 1 else vectors
    return Directions(vectors, np.ones(len(vectors), np.float32))


def _torch_file(path: Path) -> Any:
    with warnings.catch_warnings():  # torch's advice to its own developers
        warnings.simplefilter("ignore")
        return torch.load(path, "cpu", weights_only=True)
