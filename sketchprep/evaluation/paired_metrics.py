"""Metrics of a generated face against its photo: L1, SSIM, perceptual distance, identity, landmark error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.core import weights as assets
from sketchprep.evaluation.identity import Descriptor
from sketchprep.sketching.landmarks import open_landmarker

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["METRICS", "PairedMetrics", "Reference"]

METRICS = {
    "l1": "L1",
    "ssim": "SSIM",
    "perceptual": "perceptual",
    "identity": "identity",
    "found": "face found %",
    "off": "landmarks off %",
}
"""Figures of one picture and their titles."""


@dataclass(frozen=True)
class Reference:
    """A photo with all that does not depend on what it is compared with.

    Attributes
    ----------
    photo : ndarray of uint8, shape (S, S, 3)
    points : ndarray, shape (68, 2)
        Its landmarks in pixels.
    features : list of Tensor
        Of the perceptual trunk.
    described : ndarray, shape (128,)
    """

    photo: np.ndarray
    points: np.ndarray
    features: list[Tensor]
    described: np.ndarray


class PairedMetrics:
    """Compares pictures with photos; opens dlib's predictor and descriptor, and HED for its trunk.

    Parameters
    ----------
    device : str
        Of the perceptual trunk.
    offline : bool
        Never fetch weights.

    Raises
    ------
    UserError
        If weights are missing and cannot be fetched.
    """

    def __init__(self, *, device: str = "cpu", offline: bool = False) -> None:
        from sketchprep.nn.perceptual import load_perceptual

        self.describe = Descriptor(assets.path("dlib-face-descriptor", offline=offline))
        self.landmarker = open_landmarker(offline=offline)
        assets.path("hed", offline=offline)
        self._perceptual = load_perceptual().to(device)
        self._device = device

    def reference(self, photo: np.ndarray, landmarks: np.ndarray | None = None) -> Reference:
        """Look at a photo (S, S, 3) uint8 in the FFHQ frame; landmarks that the dataset lacks are looked for."""
        points = self.landmarker.frame_points(photo) if landmarks is None else landmarks
        return Reference(photo, points, self._features(photo), self.describe(photo, points))

    def compare(
        self, face: np.ndarray, wanted: Reference, *, points: np.ndarray | None = None
    ) -> tuple[dict[str, float | None], np.ndarray]:
        """Compare a picture with a photo.

        Parameters
        ----------
        face : ndarray of uint8, shape (S, S, 3)
            RGB.
        wanted : Reference
        points : ndarray, shape (68, 2), optional
            Where the face is in the picture; by default where it is in the photo.

        Returns
        -------
        figures : dict
            ``l1``: mean absolute difference, 0 to 1; ``ssim``: structural similarity (Wang et al., IEEE Trans. Image
            Processing 2004), at most 1; ``perceptual``: see `sketchprep.nn.perceptual`; ``identity``: Euclidean
            distance of the descriptors; ``found``: 1 where dlib's detector sees exactly one face, else 0; ``off``: mean
            distance of that face's landmarks from `points` as a share of the side, None where none was found.
        described : ndarray, shape (128,)
        """
        from skimage.metrics import structural_similarity

        points = wanted.points if points is None else points
        described = self.describe(face, points)
        boxes = self.landmarker.faces(face)
        off = None
        if len(boxes) == 1:
            off = float(np.linalg.norm(self.landmarker.points(face, boxes[0]) - points, axis=1).mean() / len(face))
        ssim = structural_similarity(
            wanted.photo, face, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )  # fmt: skip
        figures = {
            "l1": float(np.abs(face.astype(np.float64) - wanted.photo).mean() / 255),
            "ssim": float(ssim),
            "perceptual": self._distance(self._features(face), wanted.features),
            "identity": float(np.linalg.norm(described - wanted.described)),
            "found": float(len(boxes) == 1),
            "off": off,
        }
        return figures, described

    def _features(self, picture: np.ndarray) -> list[Tensor]:
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(self._device).movedim(-1, 0)[None].float()
        with torch.inference_mode():
            return self._perceptual.trunk.features(pixels)  # type: ignore[operator]

    def _distance(self, ours: list[Tensor], theirs: list[Tensor]) -> float:
        weights = self._perceptual.weights
        return float(sum(w * float((ours[at] - theirs[at]).abs().mean()) for at, w in weights.items()))
