"""Perceptual hashes: the same photo saved again, at another quality or size or mirrored, has nearly the same one."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.errors import SampleError
from sketchprep.io.images import decode_small

__all__ = ["MIRRORED", "hash_thumbnail", "likeness", "photo_hash", "thumbnail"]

SIDE, KEPT = 32, 8
# A photo's hash and its mirror image's differ in exactly these bits: cosines of odd frequency change their sign.
MIRRORED = int("01" * 32, 2)


def photo_hash(data: bytes) -> int | None:
    """Hash an encoded photo; None if it cannot be decoded, which its shard will say."""
    try:
        return hash_thumbnail(thumbnail(data))
    except SampleError:
        return None


def thumbnail(data: bytes) -> np.ndarray:
    """Decode a photo, no larger than need be, to a thumbnail of mean 0 and norm 1.

    Returns
    -------
    ndarray of float32, shape (32, 32)
        All 0 for a picture of one colour.

    Raises
    ------
    SampleError
        As `sketchprep.io.images.decode_gray`.
    """
    small = cv2.resize(decode_small(data, 2 * SIDE), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    return small / norm if norm > 1 else np.zeros_like(small)


def hash_thumbnail(small: np.ndarray) -> int:
    """Return the signs of the 63 lowest frequencies of a thumbnail's cosine transform, row by row, as 64 bits.

    The first bit, that of the mean, is 0.
    """
    signs = cv2.dct(small)[:KEPT, :KEPT].ravel() > 0
    signs[0] = False
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of a thumbnail with another one or with its mirror image, whichever is larger; at most 1."""
    return float(max((one * other).sum(), (one * other[:, ::-1]).sum()))
