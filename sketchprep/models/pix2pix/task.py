"""The baselines' training task: a network straight from sketch to photo as a paired GAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.models.pix2pix.settings import SHAPE
from sketchprep.training.paired_gan import PairedGan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sketchprep.models.pix2pix.settings import Settings
    from sketchprep.training.paired_data import PairedFaces

__all__ = ["BaselineTask"]


class BaselineTask(PairedGan):
    """A network from sketches to photos against the discriminators of stage 2.

    Parameters
    ----------
    network : {"unet", "global"}
    settings, faces, held_out, seed
        See `sketchprep.training.paired_gan.PairedGan`.
    """

    name = "baseline"

    def __init__(
        self,
        network: str,
        settings: Settings,
        faces: PairedFaces,
        *,
        held_out: PairedFaces | None = None,
        seed: int = 0,
    ) -> None:
        from sketchprep.models.pix2pix.model import Shape

        super().__init__(settings, faces, held_out=held_out, seed=seed)
        if settings.condition != "sketch":
            raise UserError(f"condition={settings.condition}: a baseline has no feature maps; leave it at sketch")
        self.shape = Shape(network, **{key: getattr(settings, key) for key in SHAPE})

    def generator(self) -> nn.Module:
        return self.shape.build()

    def photos(
        self, modules: Mapping[str, nn.Module], sketch: Tensor, flip: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        return modules["generator"](sketch), None

    def describe(self) -> dict[str, Any]:
        unused = ("downs", "blocks") if self.shape.network == "unet" else ()
        values = {key: value for key, value in super().describe().items() if key not in unused}
        return {"network": self.shape.network, **values}
