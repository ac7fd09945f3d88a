"""Label maps from CelebAMask-HQ's part masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["CLASSES", "label_map"]

# The order in which CelebAMask-HQ's own tools merge the masks; a later class overwrites an earlier one.
CLASSES = (
    "background",
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "ear_r",
    "neck_l",
    "neck",
    "cloth",
)


def label_map(masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Merge part masks into one picture of class numbers (CelebAMask-HQ, Lee et al. 2020).

    Parameters
    ----------
    masks : mapping of str to bool ndarray, shape (H, W)
        Keys of `CLASSES`; a class that is absent from the mapping is absent from the picture.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Indices into `CLASSES`.

    Raises
    ------
    ValueError
        If there is no mask, a name is unknown, or the masks differ in size.
    """
    unknown = sorted(set(masks) - set(CLASSES))
    if unknown:
        raise ValueError(f"unknown mask {unknown[0]!r}; known: {', '.join(CLASSES)}")
    shapes = {mask.shape for mask in masks.values()}
    if len(shapes) != 1:
        raise ValueError(f"masks must have one size, not {len(shapes)} sizes")
    labels = np.zeros(shapes.pop(), np.uint8)
    for index, name in enumerate(CLASSES):
        if name in masks:
            labels[masks[name]] = index
    return labels
