"""Masks of people by MediaPipe's selfie segmentation, refined to the photo's edges."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sketchprep.ops.guided_filter import guided_filter
from sketchprep.ops.resize import resize
from sketchprep.sketching.tflite import TFLiteNetwork

__all__ = ["PersonSegmenter"]

SIDE = 256
RADIUS = 1 / 90  # of the refinement's window, in longest sides of the photo


class PersonSegmenter:
    """Separate people from the background; picklable.

    Parameters
    ----------
    path : path
        MediaPipe's ``selfie_segmentation.tflite``.
    """

    def __init__(self, path: str | Path) -> None:
        self._net = TFLiteNetwork(path, ("activation_10",), weight="mediapipe-person")

    def mask(self, image: np.ndarray, *, refine: bool = True) -> np.ndarray:
        """The share of each pixel that belongs to a person.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            RGB; the network sees it at 256×256, whatever its shape.
        refine : bool
            Follow the photo's edges instead of the network's grid.

        Returns
        -------
        ndarray of uint8, shape (H, W)
            0 background to 255 person; all 0 where there is nobody.
        """
        height, width = image.shape[:2]
        small = resize(image, (SIDE, SIDE)).astype(np.float32) / 255
        coarse = self._net.run(small)[0].reshape(SIDE, SIDE).astype(np.float32)
        mask = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        if refine:
            mask = guided_filter(mask, image, radius=max(1, round(RADIUS * max(height, width))))
        return np.rint(mask * 255).astype(np.uint8)
