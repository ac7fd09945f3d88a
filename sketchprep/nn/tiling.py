"""Tiled inference of fully convolutional networks on batches of grey pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from torch import Tensor

__all__ = ["as_grey", "run_batch"]

SMALLEST_SIDE = 16
TILE_PIXELS = 4_000_000
_TILE = 1024


def as_grey(photos: np.ndarray) -> np.ndarray:
    """(B, H, W) uint8 from (B, H, W) as they are or from (B, H, W, 3) RGB by luma."""
    if photos.ndim != 4 or photos.dtype != np.uint8 or photos.shape[3] != 3 or photos.size == 0:
        return photos.reshape(photos.shape[:3]) if photos.ndim == 4 and photos.size == 0 else photos
    batch, height, width, _ = photos.shape
    flat = np.ascontiguousarray(photos).reshape(batch * height, width, 3)
    return cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY).reshape(batch, height, width)


def run_batch(white: Callable[[Tensor], Tensor], images: np.ndarray, device: torch.device, *, reach: int) -> np.ndarray:
    """Run a network that gives the share of white paper over grey pictures.

    Parameters
    ----------
    white : callable
        (B, 1, H, W) float32 in 0..1 to the same shape.
    images : ndarray of uint8, shape (B, H, W)
    device : torch.device
    reach : int
        Pixels beyond which nothing influences a result; a multiple of the network's stride.

    Returns
    -------
    ndarray of uint8, shape (B, H, W)

    Raises
    ------
    ValueError
        For another shape or dtype.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or min(images.shape[1:]) < SMALLEST_SIDE:
        raise ValueError(
            f"a simplifier takes uint8 pictures of shape (B, H, W) with sides of at least {SMALLEST_SIDE} px, "
            f"not {images.dtype} {images.shape}"
        )
    result = np.empty_like(images)
    # One picture at a time is as fast on a CPU, takes less memory, and no rounding depends on the batch's size.
    alone = device.type == "cpu" or images[:1].size > TILE_PIXELS
    step = 1 if alone else max(len(images), 1)
    with torch.inference_mode(), _exact_float32():
        for start in range(0, len(images), step):
            for window, inner, target in _tiles(images.shape[1], images.shape[2], reach):
                pixels = torch.from_numpy(np.ascontiguousarray(images[start : start + step][(..., *window)]))
                paper = white(pixels.to(device)[:, None].float() / 255)
                rounded = (255 * paper[:, 0]).round_().to(torch.uint8).cpu().numpy()
                result[start : start + step][(..., *target)] = rounded[(..., *inner)]
    return result


Window = tuple[slice, slice]


def _tiles(height: int, width: int, reach: int) -> Iterator[tuple[Window, Window, Window]]:
    """What to read, what of the result to keep, and where it goes; one window for all but large pictures."""
    if height * width <= TILE_PIXELS:
        whole = (slice(0, height), slice(0, width))
        yield whole, whole, whole
        return
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            rows, columns = _span(top, height, reach), _span(left, width, reach)
            yield (rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2])


def _span(start: int, length: int, reach: int) -> tuple[slice, slice, slice]:
    # Tiles start at multiples of the stride, so that every tile samples the picture on the same grid.
    stop, begin = min(start + _TILE, length), max(start - reach, 0)
    return slice(begin, min(stop + reach, length)), slice(start - begin, stop - begin), slice(start, stop)


@contextmanager
def _exact_float32() -> Iterator[None]:
    # cuDNN rounds float32 convolutions to 10 bits by default, which moves edges by more than a grey level.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
