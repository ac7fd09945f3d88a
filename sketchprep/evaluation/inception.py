"""Inception features for FID and KID, through the package ``torch-fidelity``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.errors import UserError

__all__ = ["FEATURES", "WEIGHTS", "Inception"]

FEATURES = 2048
WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
SOURCE = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/" + WEIGHTS


class Inception:
    """Describes pictures by the last pooled layer of InceptionV3, as FID does (Heusel et al., NIPS 2017).

    The weights are converted from Google's; nothing is downloaded here.

    Parameters
    ----------
    weights : path, optional
        Their file; by default where torch-fidelity keeps them, in the cache of ``torch.hub``.
    device : str

    Raises
    ------
    UserError
        If the package or the weights are missing, or the file is something else.
    """

    def __init__(self, weights: str | Path | None = None, *, device: str = "cpu") -> None:
        import torch

        try:
            from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-not-found]
                FeatureExtractorInceptionV3,
            )
        except ImportError:
            raise UserError(
                "--inception: needs torch-fidelity: pip install it, and with it the torchvision that belongs "
                "to your torch, or leave it out"
            ) from None
        except Exception as error:  # torchvision, which it imports, built for another torch
            raise UserError(
                f"--inception: torch-fidelity does not load ({_first_line(error)}); install the torchvision that "
                "belongs to your torch, from the same index"
            ) from None
        path = Path(weights) if weights else Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
        if not path.is_file():
            raise UserError(f"--inception: there are no weights {path}; put {SOURCE} there, or name the file")
        try:
            # The package unpickles whatever it is given: only what is plain tensors may reach it.
            torch.load(path, "cpu", weights_only=True)
            self._network: Any = FeatureExtractorInceptionV3(
                "inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=str(path)
            )
        except Exception as error:
            raise UserError(
                f"--inception {path}: holds no weights of Inception ({_first_line(error)}); get {SOURCE}"
            ) from None
        self._network.to(device)
        self._device = device

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Describe a picture (H, W, 3), uint8 RGB: float64, (2048,)."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None].to(self._device)
        with torch.inference_mode():
            return self._network(pixels)[0][0].double().cpu().numpy()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
