"""Edits on part codes: morph, copy parts from one drawing to another, interpolate between two faces."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS, project
from sketchprep.models.deepfacedrawing.drawing.synthesizer import WB, Synthesizer, Wb
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FRAMES", "Frames", "compose", "copy_paste", "interpolate", "morph"]

FRAMES = 9
MOST_FRAMES = 1000
BATCH = 8


@dataclass(frozen=True)
class Frames:
    """Faces along a line of codes.

    Attributes
    ----------
    shares : ndarray of float64, shape (F,)
        0 at the first end, 1 at the other.
    sketches : ndarray of uint8, shape (F, size, size)
        What the codes stand for.
    faces : ndarray of uint8, shape (F, size, size, 3)
        RGB.
    distance : ndarray of float64, shape (F,), or None
        From the manifold, as a mean over parts of how many times the usual distance of a held-out sketch; both ends
        are taken out of the bank for it.
    """

    shares: np.ndarray
    sketches: np.ndarray
    faces: np.ndarray
    distance: np.ndarray | None = None


def morph(
    synthesizer: Synthesizer,
    first: np.ndarray,
    last: np.ndarray,
    *,
    frames: int = FRAMES,
    wb: Wb = WB,
    k: int = NEIGHBOURS,
) -> Frames:
    """Morph one drawing's face into another's: part codes interpolated linearly.

    Parameters
    ----------
    synthesizer : Synthesizer
    first, last : ndarray of uint8, shape (size, size)
    frames : int
        With both ends.
    wb, k
        See `Synthesizer.synthesize`.

    Returns
    -------
    Frames

    Raises
    ------
    UserError
        For fewer than two frames, and as `Synthesizer.synthesize`.
    """
    _, _, blended = synthesizer.project_sketches(np.stack([first, last]), wb=wb, k=k)
    return _walk(synthesizer, blended[0], blended[1], frames)


def interpolate(
    synthesizer: Synthesizer, first: str, last: str, *, frames: int = FRAMES, k: int = NEIGHBOURS
) -> Frames:
    """Walk between two faces of the bank, in a straight line of codes.

    If the manifold is locally linear, as the paper argues, every face on the way is plausible and close to the bank.

    Parameters
    ----------
    synthesizer : Synthesizer
        With a bank.
    first, last : str
        Ids.
    frames : int
        With both ends.
    k : int
        Neighbours to measure the distance by.

    Returns
    -------
    Frames
        With `distance`, if the bank knows what is usual.

    Raises
    ------
    UserError
        Without a bank, for an unknown id, or fewer than two frames.
    """
    import torch

    if synthesizer.bank is None:
        raise UserError(
            "interpolate walks between faces of the bank; make it with `sketchprep bank --run RUN --data OUT`"
        )
    device = next(synthesizer.model.generator.parameters()).device
    start, end = (synthesizer.bank.codes[_number(synthesizer.bank.ids, name)].to(device) for name in (first, last))
    found = _walk(synthesizer, start, end, frames)
    if not synthesizer.reference_distances:
        return found

    bank = synthesizer.bank.without([first, last])
    codes = torch.stack([torch.lerp(start, end, float(share)) for share in found.shares])
    gap = (codes - project(bank, codes, k).projected).norm(dim=-1).cpu().double().numpy()
    usual = np.array([synthesizer.reference_distances[part][0] for part in PARTS])
    return Frames(found.shares, found.sketches, found.faces, (gap / usual).mean(axis=1))


def copy_paste(
    synthesizer: Synthesizer,
    base: np.ndarray,
    parts: Mapping[str, np.ndarray],
    *,
    wb: Wb = WB,
    k: int = NEIGHBOURS,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one face with parts of other drawings.

    Parameters
    ----------
    synthesizer : Synthesizer
    base : ndarray of uint8, shape (size, size)
        Gives every part that is not named.
    parts : mapping of str to ndarray of uint8, shape (size, size)
        Part, and the drawing it is taken from.
    wb, k
        See `Synthesizer.synthesize`.

    Returns
    -------
    sketch : ndarray of uint8, shape (size, size)
        What the composed codes stand for.
    face : ndarray of uint8, shape (size, size, 3)

    Raises
    ------
    UserError
        For an unknown part, and as `Synthesizer.synthesize`.
    """
    unknown = next((part for part in parts if part not in PARTS), None)
    if unknown is not None:
        raise UserError(f"part '{unknown}' is unknown; use {', '.join(PARTS)}")
    _, _, blended = synthesizer.project_sketches(np.stack([base, *parts.values()]), wb=wb, k=k)
    codes = compose(blended, list(parts))
    return synthesizer.redraw(codes)[0], synthesizer.faces(codes)[0]


def compose(codes: Tensor, parts: list[str]) -> Tensor:
    """Put parts of other codes into the first: (1 + P, 5, latent) to (1, 5, latent)."""
    result = codes[:1].clone()
    for source, part in enumerate(parts, start=1):
        at = PARTS.index(part)
        result[0, at] = codes[source, at]
    return result


def _walk(synthesizer: Synthesizer, first: Tensor, last: Tensor, frames: int) -> Frames:
    import torch

    if not 2 <= frames <= MOST_FRAMES:
        raise UserError(f"--frames {frames}: must be from 2 to {MOST_FRAMES}")
    shares = np.linspace(0, 1, frames)
    sketches, faces = [], []
    for start in range(0, frames, BATCH):
        codes = torch.stack([torch.lerp(first, last, float(share)) for share in shares[start : start + BATCH]])
        sketches.append(synthesizer.redraw(codes))
        faces.append(synthesizer.faces(codes))
    return Frames(shares, np.concatenate(sketches), np.concatenate(faces))


def _number(ids: list[str], name: str) -> int:
    if name in ids:
        return ids.index(name)
    alike = [number for number, known in enumerate(ids) if PurePosixPath(known).stem == PurePosixPath(name).stem]
    if len(alike) == 1:  # 00012.jpg of a corpus whose ids are 00012, or the other way round
        return alike[0]
    close = difflib.get_close_matches(name, ids[:20_000], 3) or ids[:3]
    raise UserError(f"the bank has no face '{name}'; it has for instance {', '.join(close)}")
