"""DeepFaceDrawing model files: encoders, image decoders, face generator and training facts in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sketchprep.models.deepfacedrawing import FILE, NETWORK
from sketchprep.models.deepfacedrawing.networks.codes import fits, widen
from sketchprep.models.deepfacedrawing.networks.modules import Architecture, Encoders, FaceGenerator, ImageDecoder, fuse
from sketchprep.nn.blocks import from_pixels, to_pixels
from sketchprep.nn.checkpoint_file import as_float32, check_shapes, in_run, load_frozen, opened, write
from sketchprep.ops.face_parts import PARTS

__all__ = ["FaceModel", "build", "load_face_model", "save_face_model"]

VERSION = 1


@dataclass
class FaceModel:
    """Networks that turn a sketch into a face, in eval mode and frozen.

    Attributes
    ----------
    architecture : Architecture
    encoders : Encoders
    image_decoders : ModuleDict
        From a part's code back to its sketch, by part.
    generator : FaceGenerator
    facts : dict
        What the file says of data, licence, lengths and scores.
    """

    architecture: Architecture
    encoders: Encoders
    image_decoders: nn.ModuleDict
    generator: FaceGenerator
    facts: dict[str, Any]

    def encode(self, sketches: np.ndarray) -> Tensor:
        """Codes (B, 5, latent) of sketches (B, size, size), uint8, black on white."""
        device = next(self.encoders.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(sketches)).to(device)
        with torch.inference_mode():
            return self.encoders(from_pixels(pixels[:, None]))

    def faces(self, codes: Tensor) -> np.ndarray:
        """Faces (B, size, size, 3), uint8 RGB, of codes (B, 5, latent)."""
        with torch.inference_mode():
            image, _ = self.generator(codes)
        return to_pixels(image)

    def redraw(self, codes: Tensor) -> np.ndarray:
        """Sketches (B, size, size), uint8, that the codes (B, 5, latent) stand for."""
        with torch.inference_mode():
            maps = {part: self.image_decoders[part](codes[:, at]) for at, part in enumerate(PARTS)}
            return to_pixels(fuse(maps, self.architecture.size))

    def draw(self, sketches: np.ndarray) -> np.ndarray:
        """Faces (B, size, size, 3), uint8 RGB, of sketches (B, size, size), uint8, black on white."""
        return self.faces(self.encode(sketches))


def build(architecture: Architecture) -> nn.ModuleDict:
    """The three networks with fresh weights: their state is what the file holds."""
    return nn.ModuleDict(
        {
            "encoders": Encoders(architecture),
            "image_decoders": nn.ModuleDict({part: ImageDecoder(part, architecture) for part in PARTS}),
            "generator": FaceGenerator(architecture),
        }
    )


def save_face_model(
    tensors: Mapping[str, Tensor],
    architecture: Architecture,
    path: str | Path,
    *,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a model as safetensors, in float16 where that holds the numbers.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        State of what `build` gives; layers beside the codes may be narrower, see
        `sketchprep.models.deepfacedrawing.networks.codes`.
    architecture : Architecture
    path : path
    facts : mapping, optional
        JSON values for the header.
    """
    header = {"network": NETWORK, "version": VERSION, "architecture": asdict(architecture), **(facts or {})}
    write(tensors, path, header)


def load_face_model(path: str | Path, *, device: str = "cpu") -> FaceModel:
    """Open a model for drawing: eval mode, frozen, float32.

    Parameters
    ----------
    path : path
        The file, or the folder of the run that wrote it.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    UserError
        If the file is missing, partial or holds something else.
    """
    path, remedy = in_run(path, FILE), "name another run, or train one with `sketchprep train deepfacedrawing`"
    described = opened(path, NETWORK, "architecture", Architecture, kind="model of faces", remedy=remedy)
    with described as (file, facts, architecture):
        with torch.device("meta"):
            networks = build(architecture)
        check_shapes(networks, file, path, fits=fits)
        wanted = networks.state_dict()
        tensors = {name: widen(as_float32(file.get_tensor(name)), value.shape) for name, value in wanted.items()}
    load_frozen(networks, tensors, device)
    encoders, decoders, generator = (networks[name] for name in ("encoders", "image_decoders", "generator"))
    return FaceModel(architecture, encoders, decoders, generator, facts)  # type: ignore[arg-type]
