"""Stage 2 of DeepFaceDrawing: feature decoders and image synthesis, trained as a GAN on frozen part encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.train.face_gan import FaceGan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.train.face_settings import Settings
    from sketchprep.train.faces import Faces

__all__ = ["FmIsTask"]


class FmIsTask(FaceGan):
    """Feature decoders and image synthesis; the encoders are frozen.

    Parameters
    ----------
    settings, faces, held_out, seed
        See `sketchprep.train.face_gan.FaceGan`.
    encoders : path
        Safetensors with the state of `sketchprep.models.deepfacedrawing.Encoders`, as stage 1 leaves it.
    """

    name = "fm-is"

    def __init__(
        self, settings: Settings, faces: Faces, encoders: str | Path, *, held_out: Faces | None = None, seed: int = 0
    ) -> None:
        super().__init__(settings, faces, held_out=held_out, seed=seed)
        self.encoders = Path(encoders)
        self._sum = ""

    def generator(self) -> nn.Module:
        from sketchprep.models.deepfacedrawing import FaceGenerator

        return FaceGenerator(self.settings.architecture())

    def before(self) -> dict[str, nn.Module]:
        return {"encoders": self._load_encoders()}

    def _load_encoders(self) -> nn.Module:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from sketchprep.models.deepfacedrawing import Encoders
        from sketchprep.train.checkpoint import fill
        from sketchprep.train.state import checksum

        encoders = Encoders(self.settings.architecture())
        try:
            fill(encoders, load_file(self.encoders), str(self.encoders))
        except (OSError, SafetensorError, ValueError) as error:
            raise UserError(f"{self.encoders}: cannot be read as stage 1's encoders ({error}); train them") from None
        self._sum = checksum(encoders)
        return encoders

    def photos(
        self, modules: Mapping[str, nn.Module], sketch: Tensor, flip: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        import torch

        with torch.no_grad():
            codes = modules["encoders"](sketch, flip)
        return modules["generator"](codes, flip)

    def describe(self) -> dict[str, Any]:
        try:
            encoders = hashlib.sha256(self.encoders.read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"{self.encoders}: cannot be read ({error.strerror}); train stage 1 first") from None
        return {**super().describe(), "encoders": encoders}

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """As `FaceGan.scores`.

        Raises
        ------
        RuntimeError
            If the encoders are no longer what stage 1 left: nothing of such a run may be kept.
        """
        from sketchprep.train.state import checksum

        if checksum(modules["encoders"]) != self._sum:
            raise RuntimeError(f"the frozen encoders of {self.encoders} moved in training; this checkpoint is not kept")
        return super().scores(modules)
