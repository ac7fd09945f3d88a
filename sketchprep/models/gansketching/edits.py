"""Edits of latents as they are written on the command line, and directions fitted to a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sketchprep.errors import UserError
from sketchprep.models.gansketching.directions import Directions, edit, factorise, fit_ganspace, read_directions

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.gansketching.model import Sampler

__all__ = ["Edit", "apply_edits", "fit_directions", "parse_edit"]

_WRITTEN = re.compile(
    r"(?P<file>.+?)(?::(?P<number>\d+))?=(?P<strength>[+-]?\d*\.?\d+)(?:@(?P<first>\d+)-(?P<last>\d+))?"
)
BATCH = 4096


@dataclass(frozen=True)
class Edit:
    """One movement in W.

    Attributes
    ----------
    direction : Tensor, shape (style_dim,) or (rows, style_dim)
        Times its size.
    strength : float
    rows : pair of int or None
    """

    direction: Tensor
    strength: float
    rows: tuple[int, int] | None = None


def parse_edit(text: str, *, style_dim: int = 512) -> Edit:
    """Read ``FILE[:NUMBER]=STRENGTH[@FIRST-LAST]``, for instance ``"pca.npz:2=3@2-4"``.

    Parameters
    ----------
    text : str
        A file of directions, which of them (default the first), how far in their sizes, and the rows of w+ that move.
    style_dim : int

    Raises
    ------
    UserError
        If it is written otherwise, or as `sketchprep.models.gansketching.directions.read_directions`.
    """
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise UserError(f"--edit {text}: write it as FILE:NUMBER=STRENGTH@FIRST-LAST, for instance pca.npz:2=3@2-4")
    directions = read_directions(found["file"], style_dim=style_dim)
    number = int(found["number"] or 0)
    if number >= len(directions.components):
        raise UserError(f"--edit {text}: the file holds directions 0 to {len(directions.components) - 1}")
    direction = torch.from_numpy(directions.components[number] * directions.sizes[number])
    rows = (int(found["first"]), int(found["last"])) if found["first"] else None
    return Edit(direction, float(found["strength"]), rows)


def apply_edits(sampler: Sampler, w: Tensor, edits: list[Edit]) -> Tensor:
    """Move w or w+ along directions, one after the other; the result is w+, (batch, rows, style_dim).

    Raises
    ------
    UserError
        If an edit names rows that w+ has not, or has another number of rows itself.
    """
    wplus = w[:, None].repeat(1, sampler.rows, 1) if w.ndim == 2 else w
    for one in edits:
        if one.direction.ndim == 2 and len(one.direction) != wplus.shape[1]:
            raise UserError(f"--edit: a direction of {len(one.direction)} rows does not fit w+ of {wplus.shape[1]}")
        wplus = edit(wplus, one.direction.to(wplus), one.strength, rows=one.rows)
    return wplus


def fit_directions(
    sampler: Sampler, out: str | Path, *, method: str = "ganspace", components: int = 80, samples: int = 300_000
) -> Directions:
    """Find directions of a generator and write them to a file that `parse_edit` reads.

    Parameters
    ----------
    sampler : Sampler
    out : path
        Ends in ``.npz``.
    method : {"ganspace", "sefa"}
        Principal components of w, or singular vectors of the modulation weights.
    components : int
    samples : int
        Of w, for GANSpace; drawn with seed 1.

    Raises
    ------
    UserError
        For another ending or method, more components than w has numbers, too few samples, or a generator without
        modulation weights of its own.
    """
    out = Path(out)
    if out.suffix != ".npz":
        raise UserError(f"-o {out}: must end in .npz")
    if not 1 <= components <= sampler.style_dim:
        raise UserError(f"--components {components}: must be from 1 to {sampler.style_dim}")
    if method == "ganspace":
        if samples < 2 * sampler.style_dim:
            raise UserError(f"--samples {samples}: must be at least {2 * sampler.style_dim}, twice the numbers of w")
        found = fit_ganspace(_samples_of_w(sampler, samples), components)
    elif method == "sefa":
        generator = getattr(sampler, "generator", None)
        if generator is None:
            raise UserError("--method sefa: needs a StyleGAN2; name one with --run, or use ganspace")
        found = factorise(generator.state_dict(), components)
    else:
        raise UserError(f"--method {method}: is unknown; known: ganspace, sefa")
    out.parent.mkdir(parents=True, exist_ok=True)
    found.save(out)
    return found


def _samples_of_w(sampler: Sampler, count: int) -> np.ndarray:
    rng = np.random.RandomState(1)
    parts = []
    for first in range(0, count, BATCH):
        z = rng.standard_normal((min(BATCH, count - first), sampler.style_dim)).astype(np.float32)
        parts.append(sampler.map(torch.from_numpy(z)).cpu().numpy())
    return np.concatenate(parts)
