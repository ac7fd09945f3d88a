"""DeepFaceDrawing's windows on tensors: the five parts of a sketch, and one map out of five.

A mirrored sketch has mirrored windows (x becomes size - x - width): the windows are not symmetric, so a face that was
flipped for augmentation must not be cut at the places of an unflipped one.  ``left_eye`` is what lies left in the
picture, before and after a flip; its mirrored window is the mirror of the right eye's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sketchprep.ops.face_parts import PARTS, Window, windows

__all__ = ["face_windows", "fuse", "nose_rows", "part_images"]

WHITE = 1.0
_MIRROR = {"left_eye": "right_eye", "right_eye": "left_eye"}


def face_windows(size: int, *, mirrored: bool = False) -> dict[str, Window]:
    """The five windows in a frame of `size` px, or those of a mirrored picture.

    Parameters
    ----------
    size : int
        A multiple of 64.
    mirrored : bool

    Returns
    -------
    dict of str to Window
        In the order of ``face_parts.PARTS``.
    """
    found = windows(size)
    if not mirrored:
        return found
    origins = {part: found[_MIRROR.get(part, part)] for part in PARTS}
    return {part: w._replace(x=size - w.x - w.width) for part, w in origins.items()}


def nose_rows(size: int) -> int:
    """How many rows of the nose's map are used: all but the last 36 at 512 px, 18 at 256 and 9 at 128."""
    return windows(size)["nose"].height - 36 * size // 512


def part_images(sketch: Tensor, size: int, flip: Tensor | None = None) -> dict[str, Tensor]:
    """Cut a sketch into DeepFaceDrawing's five parts.

    Parameters
    ----------
    sketch : Tensor of float, shape (B, C, size, size)
        1 is white paper.  Not changed.
    size : int
        Height and width, a multiple of 64.
    flip : Tensor of bool, shape (B,), optional
        True for samples that were mirrored.

    Returns
    -------
    dict of str to Tensor, shapes (B, C, s, s)
        In the order of ``face_parts.PARTS``; the remainder is the whole sketch with the four windows white.

    Raises
    ------
    ValueError
        If the sketch has another height or width.
    """
    if sketch.shape[-2:] != (size, size):
        raise ValueError(f"the sketch is {sketch.shape[-1]}×{sketch.shape[-2]}, the model draws {size}×{size}")
    plain = _cut(sketch, face_windows(size))
    if flip is None:
        return plain
    mirrored = _cut(sketch, face_windows(size, mirrored=True))
    return {part: torch.where(flip[:, None, None, None], mirrored[part], plain[part]) for part in plain}


def _cut(sketch: Tensor, places: Mapping[str, Window]) -> dict[str, Tensor]:
    parts = {}
    remainder = sketch.clone()
    for part, window in places.items():
        rows, columns = window.slices
        if part == "remainder":
            parts[part] = remainder
        else:
            parts[part] = sketch[..., rows, columns]
            remainder[..., rows, columns] = WHITE
    return parts


def fuse(maps: Mapping[str, Tensor], size: int, flip: Tensor | None = None) -> Tensor:
    """Lay five maps over one another: the remainder's, on it the mouth's, the nose's without its last rows, the eyes'.

    Nothing is added or blended: a pixel comes from the last map that covers it.  The rows cut from the nose
    (`nose_rows`) leave the mouth the band where both windows overlap.

    Parameters
    ----------
    maps : mapping of str to Tensor, shapes (B, C, s, s)
        A map for each part, as large as its window.  Not changed.
    size : int
        Of the frame, a multiple of 64.
    flip : Tensor of bool, shape (B,), optional
        True for samples whose maps belong into the mirrored windows.

    Returns
    -------
    Tensor, shape (B, C, size, size)
        A new tensor; differentiable with respect to every map.
    """
    plain = _lay(maps, face_windows(size), nose_rows(size))
    if flip is None:
        return plain
    mirrored = _lay(maps, face_windows(size, mirrored=True), nose_rows(size))
    return torch.where(flip[:, None, None, None], mirrored, plain)


def _lay(maps: Mapping[str, Tensor], places: Mapping[str, Window], rows_of_nose: int) -> Tensor:
    fused = maps["remainder"].clone()
    for part in ("mouth", "nose", "left_eye", "right_eye"):
        above = maps[part]
        window = places[part]
        if part == "nose":
            above = above[..., :rows_of_nose, :]
            window = window._replace(height=rows_of_nose)
        rows, columns = window.slices
        fused[..., rows, columns] = above
    return fused
