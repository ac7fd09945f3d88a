"""Shorter codes by PCA of a bank's codes, folded into the linear layers beside them.

The codes of real sketches lie in few of the directions that a code has.  Principal axes are orthonormal: distances
between codes, and the weights by which neighbours rebuild one, stay what they were but for what is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Axes", "choose_ranks", "fits", "principal_axes", "shorten", "widen"]


@dataclass(frozen=True)
class Axes:
    """Principal axes of a part's codes.

    Attributes
    ----------
    mean : Tensor of float64, shape (latent,)
    axes : Tensor of float64, shape (latent, latent)
        Orthonormal columns, the direction of the largest variance first.
    kept : Tensor of float64, shape (latent,)
        Share of the variance that the first 1, 2, 3 … directions hold.
    """

    mean: Tensor
    axes: Tensor
    kept: Tensor

    def rank(self, share: float) -> int:
        """Fewest directions that hold this share of the variance; all of them for 1."""
        return len(self.kept) if share >= 1 else int((self.kept < share).sum()) + 1

    def shorten(self, codes: Tensor, rank: int) -> Tensor:
        """Codes (..., latent) along the first `rank` axes, float32 (..., rank)."""
        return ((codes.double() - self.mean) @ self.axes[:, :rank]).float()


def principal_axes(codes: Tensor) -> Axes:
    """Principal axes of codes (N, latent)."""
    centred = codes.double()
    mean = centred.mean(0)
    centred = centred - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(codes))
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    total = float(values.sum())
    kept = values.cumsum(0) / total if total > 0 else torch.ones_like(values)
    return Axes(mean, vectors, kept)


def choose_ranks(
    state: Mapping[str, Tensor],
    axes: Mapping[str, Axes],
    widths: Mapping[str, int],
    *,
    faces: int,
    room: int,
    shadow: float,
) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers in each part's code: the directions that hold most variance for their bytes, as many as fit.

    Parameters
    ----------
    state, axes
        See `shorten`.
    widths : mapping of str to int
        By part, how much its variance counts.
    faces : int
        In the bank, which holds a code of each part for each.
    room : int
        Bytes for model and bank in half precision.
    shadow : float
        Share of the variance that the image decoders look at.

    Returns
    -------
    ranks, image_ranks : dict of str to int
        See `shorten`; 0 for a part that does not fit.
    """
    images = {part: found.rank(shadow) for part, found in axes.items()}
    left = room - 2 * sum(value.numel() for value in state.values())
    directions: list[tuple[float, int, str, int]] = []
    for part, found in axes.items():
        rows = state[f"image_decoders.{part}.code.weight"].shape[0]
        beside = state[f"encoders.parts.{part}.code.weight"].shape[1] + 1
        beside += state[f"generator.decoders.{part}.code.weight"].shape[0]
        left += 2 * (len(found.kept) * beside + (len(found.kept) - images[part]) * rows)
        cost = 2 * (beside + faces)
        gains = np.diff(found.kept.numpy(), prepend=0) * widths[part] / cost
        directions += [(-gain, at, part, cost) for at, gain in enumerate(gains.tolist())]
    ranks = dict.fromkeys(axes, 0)
    for _, _, part, cost in sorted(directions):
        if cost > left:
            break
        ranks[part], left = ranks[part] + 1, left - cost
    return ranks, {part: min(ranks[part], images[part]) for part in axes}


def shorten(
    state: Mapping[str, Tensor], axes: Mapping[str, Axes], ranks: Mapping[str, int], image_ranks: Mapping[str, int]
) -> dict[str, Tensor]:
    """Fold the axes of each part into the layers beside its code.

    Parameters
    ----------
    state : mapping of str to Tensor
        Of what `sketchprep.models.deepfacedrawing.networks.model.build` gives.
    axes : mapping of str to Axes
        By part.
    ranks, image_ranks : mapping of str to int
        By part: numbers in its code, and how many of them the image decoder looks at.

    Returns
    -------
    dict of str to Tensor
        The same networks for short codes, float32 where something was folded.
    """
    made = dict(state)
    for part, found in axes.items():
        weight, bias = f"encoders.parts.{part}.code.weight", f"encoders.parts.{part}.code.bias"
        rotation = found.axes[:, : ranks[part]]
        made[weight] = (rotation.T @ state[weight].double()).float()
        made[bias] = (rotation.T @ (state[bias].double() - found.mean)).float()
        for name, rank in (("generator.decoders", ranks[part]), ("image_decoders", image_ranks[part])):
            weight, bias = f"{name}.{part}.code.weight", f"{name}.{part}.code.bias"
            made[weight] = (state[weight].double() @ found.axes[:, :rank]).float()
            made[bias] = (state[bias].double() + state[weight].double() @ found.mean).float()
    return made


def fits(name: str, shape: list[int] | None, wanted: list[int] | None) -> bool:
    """Whether a stored tensor is as the network has it, or shorter along its code; None is one that is not there."""
    at = _code_dimension(name)
    if at is None or shape is None or wanted is None or len(shape) != len(wanted):
        return shape == wanted
    return 1 <= shape[at] <= wanted[at] and shape[:at] + shape[at + 1 :] == wanted[:at] + wanted[at + 1 :]


def widen(tensor: Tensor, shape: torch.Size) -> Tensor:
    """The tensor with zeros after its own values: numbers that a short code has not are 0 and count for nothing."""
    if tensor.shape == shape:
        return tensor
    wide = tensor.new_zeros(shape)
    wide[tuple(slice(length) for length in tensor.shape)] = tensor
    return wide


def _code_dimension(name: str) -> int | None:
    if name.startswith("encoders.") and name.endswith((".code.weight", ".code.bias")):
        return 0
    return 1 if name.startswith(("generator.", "image_decoders.")) and name.endswith(".code.weight") else None
