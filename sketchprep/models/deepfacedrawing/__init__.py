"""DeepFaceDrawing (Chen et al. 2020): networks, training in two stages, drawing, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.networks.model import FaceModel

NETWORK = "sketchprep-deepfacedrawing"
FILE = "deepfacedrawing.safetensors"


def load(path: str | Path, *, device: str = "cpu") -> FaceModel:
    """Open a model of faces, see `sketchprep.models.deepfacedrawing.networks.model.load_face_model`."""
    from sketchprep.models.deepfacedrawing.networks.model import load_face_model

    return load_face_model(path, device=device)
