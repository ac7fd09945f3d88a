"""Stage 2 of DeepFaceDrawing: feature decoders and image synthesis, trained as a GAN on frozen part encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.training.stage1_weights import DECODERS
from sketchprep.training.paired_gan import PairedGan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.models.deepfacedrawing.networks.modules import FaceGenerator
    from sketchprep.models.deepfacedrawing.training.settings import Settings
    from sketchprep.training.paired_data import PairedFaces

__all__ = ["FmIsTask", "begin_with_decoders", "check_feature_decoders"]

#: What they decide is in the encoders, whose digest stands for it.
STAGE_1_SETTINGS = ("parts", "shares", "ink_weight")


class FmIsTask(PairedGan):
    """Feature decoders and image synthesis; the encoders are frozen.

    Parameters
    ----------
    settings, faces, held_out, seed
        See `sketchprep.training.paired_gan.PairedGan`.
    encoders : path
        Safetensors with the state of `sketchprep.models.deepfacedrawing.networks.modules.Encoders`, as stage 1 leaves
        it, the image decoders' file beside it.
    """

    name = "fm-is"
    settings: Settings

    def __init__(
        self,
        settings: Settings,
        faces: PairedFaces,
        encoders: str | Path,
        *,
        held_out: PairedFaces | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(settings, faces, held_out=held_out, seed=seed)
        check_feature_decoders(settings)
        self.encoders = Path(encoders)
        self._sum = ""

    def generator(self) -> nn.Module:
        from sketchprep.models.deepfacedrawing.networks.modules import FaceGenerator

        generator = FaceGenerator(self.settings.architecture())
        if self.settings.fm_start == "image_decoders":
            path = self.encoders.with_name(DECODERS)
            begin_with_decoders(generator, _read(path, "image decoders"), str(path))
        if self.settings.fm_train == "last":
            for decoder in generator.decoders.values():
                decoder.freeze()  # type: ignore[operator]
        return generator

    def before(self) -> dict[str, nn.Module]:
        return {"encoders": self._load_encoders()}

    def _load_encoders(self) -> nn.Module:
        from sketchprep.models.deepfacedrawing.networks.modules import Encoders
        from sketchprep.training.checkpoint import fill
        from sketchprep.training.state import checksum

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

    def condition_channels(self) -> int:
        return 1 if self.settings.condition == "sketch" else self.settings.fm_channels

    def describe(self) -> dict[str, Any]:
        values = {key: value for key, value in super().describe().items() if key not in STAGE_1_SETTINGS}
        described = {**values, "encoders": _digest(self.encoders)}
        if self.settings.fm_start == "image_decoders":
            described["image_decoders"] = _digest(self.encoders.with_name(DECODERS))
        return described

    def scores(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """As `PairedGan.scores`.

        Raises
        ------
        RuntimeError
            If the encoders are no longer what stage 1 left: nothing of such a run may be kept.
        """
        from sketchprep.training.state import checksum

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
        own, last = decoder.state_dict(), decoder.last
        same = {key for key, value in own.items() if key in known and known[key].shape == value.shape}
        weight, bias = f"{last}.weight", f"{last}.bias"
        with torch.no_grad():
            for key in same:
                own[key].copy_(known[key])
            if set(own) - same == {weight, bias} and known[weight].shape[1:] == own[weight].shape[1:]:
                # Maps as strong as the redrawn sketch: weaker ones would hardly be seen beside it.
                own[weight].normal_(0, float(known[weight].std()))
                own[weight][:1].copy_(known[weight])
                own[bias][:1].copy_(known[bias])


def check_feature_decoders(settings: Settings) -> None:
    """Raise UserError where layers would be frozen that have learnt nothing."""
    if settings.fm_train == "all":
        return
    shape = settings.architecture()
    if settings.fm_start == "random":
        raise UserError("fm_train=last: layers that begin at random must be trained; leave out fm_start=random")
    if shape.feature_channels != [*shape.encoder_channels[::-1], shape.width]:
        raise UserError(
            f"fm_train=last: the feature decoders' channels {shape.feature_channels} are not those of the image "
            f"decoders, {[*shape.encoder_channels[::-1], shape.width]}; change fm_width, or set fm_train=all"
        )


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
