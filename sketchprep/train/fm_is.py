"""Stage 2 of DeepFaceDrawing: feature decoders and image synthesis, trained as a GAN on frozen part encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.train.face_gan import FaceGan
from sketchprep.train.stage_one import DECODERS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.models.deepfacedrawing import FaceGenerator
    from sketchprep.train.face_settings import Settings
    from sketchprep.train.faces import Faces

__all__ = ["FmIsTask", "begin_with_decoders"]


class FmIsTask(FaceGan):
    """Feature decoders and image synthesis; the encoders are frozen.

    Parameters
    ----------
    settings, faces, held_out, seed
        See `sketchprep.train.face_gan.FaceGan`.
    encoders : path
        Safetensors with the state of `sketchprep.models.deepfacedrawing.Encoders`, as stage 1 leaves it, the image
        decoders' file beside it.
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

        generator = FaceGenerator(self.settings.architecture())
        if self.settings.fm_start == "image_decoders":
            path = self.encoders.with_name(DECODERS)
            begin_with_decoders(generator, _read(path, "image decoders"), str(path))
        return generator

    def before(self) -> dict[str, nn.Module]:
        return {"encoders": self._load_encoders()}

    def _load_encoders(self) -> nn.Module:
        from sketchprep.models.deepfacedrawing import Encoders
        from sketchprep.train.checkpoint import fill
        from sketchprep.train.state import checksum

        encoders = Encoders(self.settings.architecture())
        fill(encoders, _read(self.encoders, "encoders"), str(self.encoders))
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
        described = {**super().describe(), "encoders": _digest(self.encoders)}
        if self.settings.fm_start == "image_decoders":
            described["image_decoders"] = _digest(self.encoders.with_name(DECODERS))
        return described

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


def begin_with_decoders(generator: FaceGenerator, tensors: Mapping[str, Tensor], where: str) -> None:
    """Let the feature decoders begin with what stage 1's image decoders know of the codes.

    Both kinds have the same layers up to the number of channels.  What has one shape is taken over: everything but the
    last convolution in ``tiny``, the linear layer and the innermost maps in the larger presets.  Where only the last
    convolution differs, the first feature map begins as the part's redrawn sketch.  With random feature decoders
    stage 2 first has to find out again what a code stands for, which takes most of a short training.

    Parameters
    ----------
    generator : FaceGenerator
    tensors : mapping of str to Tensor
        ``parts.PART.KEY`` of the image decoders.
    where : str
        Named in messages.

    Raises
    ------
    UserError
        If a part is missing.
    """
    import torch

    for part, decoder in generator.decoders.items():
        prefix = f"parts.{part}."
        known = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if not known:
            raise UserError(f"{where}: holds no image decoder of {part}; train stage 1, or set fm_start=random")
        own = decoder.state_dict()
        same = {key for key, value in own.items() if key in known and known[key].shape == value.shape}
        last = set(own) - same
        with torch.no_grad():
            for key in same:
                own[key].copy_(known[key])
            if last and all(key in known and known[key].shape[1:] == own[key].shape[1:] for key in last):
                for key in last:
                    own[key][:1].copy_(known[key])


def _read(path: Path, what: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as stage 1's {what} ({error}); train them") from None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); train stage 1 first") from None
