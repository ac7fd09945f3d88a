"""Pictures as networks have them, -1 (black) to 1 (white), and as pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["from_pixels", "to_pixels"]


def from_pixels(pixels: Tensor) -> Tensor:
    """uint8 to float32, -1..1; the same shape."""
    return pixels.float() / 127.5 - 1


def to_pixels(pictures: Tensor) -> np.ndarray:
    """Float, -1..1, to the nearest pixels; what lies beyond is cut off.

    Parameters
    ----------
    pictures : Tensor of float, shape (B, 1, H, W) or (B, 3, H, W)

    Returns
    -------
    ndarray of uint8, shape (B, H, W) or (B, H, W, 3)
    """
    pixels = ((pictures.detach().float() + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
    return (pixels[:, 0] if pixels.shape[1] == 1 else pixels.movedim(1, -1)).contiguous().numpy()
