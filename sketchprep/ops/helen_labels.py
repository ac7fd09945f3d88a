"""CelebAMask-HQ's 19 classes to Helen's 11 labels, and the part windows of Mask-Guided Portrait Editing."""

from __future__ import annotations

import numpy as np

from sketchprep.ops.face_parts import Window, centred, check_size
from sketchprep.ops.labels import CLASSES

__all__ = ["HELEN", "MASK_GUIDED_PARTS", "helen_labels", "mask_windows", "region"]

HELEN = (
    "background",
    "skin",
    "left_brow",
    "right_brow",
    "left_eye",
    "right_eye",
    "nose",
    "upper_lip",
    "inner_mouth",
    "lower_lip",
    "hair",
)
MASK_GUIDED_PARTS = ("left_eye", "right_eye", "mouth", "skin", "hair")

_SAME = {
    "skin": "skin",
    "nose": "nose",
    "u_lip": "upper_lip",
    "mouth": "inner_mouth",
    "l_lip": "lower_lip",
    "hair": "hair",
}
_SIDED = {"l_brow": "brow", "r_brow": "brow", "l_eye": "eye", "r_eye": "eye"}

# Which labels make a part; brows and nose belong to the skin.
_REGIONS = {"left_eye": (4,), "right_eye": (5,), "mouth": (7, 8, 9), "skin": (1, 2, 3, 6), "hair": (10,)}

# Width, height and the centre (x, y) taken where the labels are absent, at 256 px.
_WINDOWS_256 = {
    "left_eye": ((48, 32), (96, 116)),
    "right_eye": ((48, 32), (160, 116)),
    "mouth": ((144, 80), (128, 184)),
}


def helen_labels(labels: np.ndarray) -> np.ndarray:
    """Map CelebAMask-HQ's classes to the eleven labels that Mask-Guided Portrait Editing (Gu et al. 2019) uses.

    Glasses, ears, earrings, hat, neck, necklace and cloth become background.  CelebAMask-HQ's ``l_`` and ``r_`` are
    the subject's sides, so ``r_eye`` usually lies left in the image; a mirrored picture swaps them.  The label is
    therefore chosen by position: of the two eyes the one further left is ``left_eye``, and a single one is compared
    with the middle of the face (nose, else skin, else the picture).  The same holds for the brows.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        Indices into `sketchprep.ops.labels.CLASSES`.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Indices into `HELEN`.

    Raises
    ------
    ValueError
        If a value is no class.
    """
    if labels.size and labels.max() >= len(CLASSES):
        raise ValueError(f"label {labels.max()} is none of CelebAMask-HQ's {len(CLASSES)} classes")
    table = np.zeros(256, np.uint8)
    for theirs, ours in _SAME.items():
        table[CLASSES.index(theirs)] = HELEN.index(ours)
    present = {name: x for name in _SIDED if (x := _middle(labels == CLASSES.index(name))) is not None}
    for kind in ("eye", "brow"):
        for name, side in _sides({n: x for n, x in present.items() if _SIDED[n] == kind}, labels).items():
            table[CLASSES.index(name)] = HELEN.index(f"{side}_{kind}")
    return table[labels]


def _sides(middles: dict[str, float], labels: np.ndarray) -> dict[str, str]:
    """Which side of the image each of at most two masks lies on."""
    if len(middles) == 2:
        left, right = sorted(middles, key=lambda name: middles[name])
        return {left: "left", right: "right"}
    face = next((x for n in ("nose", "skin") if (x := _middle(labels == CLASSES.index(n))) is not None), None)
    axis = (labels.shape[1] - 1) / 2 if face is None else face
    return {name: "left" if x < axis else "right" for name, x in middles.items()}


def _middle(mask: np.ndarray) -> float | None:
    """Mean x of a mask's pixels, None for an empty one."""
    counts = mask.sum(0)
    total = counts.sum()
    return float(counts @ np.arange(len(counts)) / total) if total else None


def region(helen: np.ndarray, part: str) -> np.ndarray:
    """Return where a part's labels are, as a boolean array; `part` is one of `MASK_GUIDED_PARTS`."""
    return np.isin(helen, _REGIONS[part])


def mask_windows(helen: np.ndarray) -> dict[str, Window]:
    """Return the windows of Mask-Guided Portrait Editing, centred on the bounding boxes of their labels.

    At 256 px (width × height): eyes 48 × 32, mouth 144 × 80, skin and hair the whole frame.  Sizes scale with the
    frame.  A part whose labels are absent gets the original's fall-back centre.

    Parameters
    ----------
    helen : ndarray of uint8, shape (size, size)
        Indices into `HELEN`; size is a multiple of 64.

    Returns
    -------
    dict of str to Window
        In the order of `MASK_GUIDED_PARTS`, moved inside the frame where they would leave it.

    Raises
    ------
    ValueError
        If the map is not square or its size is no multiple of 64.
    """
    size = helen.shape[0]
    check_size(size)
    if helen.shape != (size, size):
        raise ValueError(f"the label map must be square, not {helen.shape[1]}×{helen.shape[0]}")
    windows = dict.fromkeys(MASK_GUIDED_PARTS, Window(0, 0, size, size))
    for part, (extent, fallback) in _WINDOWS_256.items():
        centre = _box_centre(region(helen, part)) or (fallback[0] * size // 256, fallback[1] * size // 256)
        windows[part] = centred(centre, (extent[0] * size // 256, extent[1] * size // 256), size=size)
    return windows


def _box_centre(mask: np.ndarray) -> tuple[int, int] | None:
    """Centre (x, y) of a mask's bounding box, rounded down; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(columns[0] + columns[-1]) // 2, int(rows[0] + rows[-1]) // 2
