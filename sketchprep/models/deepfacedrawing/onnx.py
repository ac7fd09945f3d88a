"""The networks that can leave the framework: what goes in and out of each, and real pictures to check them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sketchprep.errors import UserError
from sketchprep.nn.simplifier import STRIDE
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.networks.model import FaceModel

__all__ = ["Network", "Port", "collect"]

_PORTRAITS = ("male-07", "female-13", "male-00", "female-10")


@dataclass(frozen=True)
class Port:
    """Input or output of a network.

    Attributes
    ----------
    name : str
    dtype : str
    shape : tuple of str or int
        A word for an axis of any length.
    about : str
        Range and meaning.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    about: str

    def text(self) -> str:
        """One line for the reader."""
        return f"{self.name}: {self.dtype} ({', '.join(map(str, self.shape))}), {self.about}"


@dataclass(frozen=True)
class Network:
    """A network ready to be exported.

    Attributes
    ----------
    name : str
    title : str
    net : Module
        One tensor in, one out; eval mode, frozen, on the CPU, float32.
    source, target : Port
        Input and output.
    samples : list of Tensor
        Real inputs of several batches and sizes; the first is what the network is traced with, so that no two of its
        free axes are of one length, and none is 1.
    architecture : dict
        JSON values that fix the shape of every weight.
    licence : str
    example : str
        Lines of Python that use it, with `network` from the README's first lines.
    facts : dict
        Further JSON values: what the weights' own file says.
    """

    name: str
    title: str
    net: nn.Module
    source: Port
    target: Port
    samples: list[Tensor]
    architecture: dict[str, Any]
    licence: str
    example: str
    facts: dict[str, Any] = field(default_factory=dict)


def collect(wanted: list[str], run: Path | None, *, offline: bool = False) -> list[Network]:
    """Load the networks named.

    Parameters
    ----------
    wanted : list of str
        Of ``onnx_export.NAMES``.
    run : Path or None
        A trained model or its run; only ``encoders`` and ``face`` need it.
    offline : bool
        Never fetch HED's weights.

    Raises
    ------
    UserError
        If a model or weight is missing or unsound.
    """
    makers: dict[str, Callable[[], Network]] = {"hed": lambda: _hed(offline), "simplifier": _simplifier}
    of_run = [name for name in wanted if name not in makers]
    if of_run:
        if run is None:
            raise UserError(
                f"RUN is missing: {' and '.join(of_run)} come from a trained model; name a run of `sketchprep train "
                "deepfacedrawing`, or choose --only hed,simplifier"
            )
        from sketchprep.models.deepfacedrawing.networks.model import load_face_model

        model = load_face_model(run)
        makers |= {"encoders": lambda: _encoders(model), "face": lambda: _face(model)}
    return [makers[name]() for name in wanted]


class _Face(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)[0]


class _Photo(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, photo: Tensor) -> Tensor:
        return self.net(photo.permute(0, 3, 1, 2).float())


class _Paper(nn.Module):
    """The simplifier with its padding written without a branch, which a trace would follow one way only."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, drawing: Tensor) -> Tensor:
        height, width = drawing.shape[-2:]
        padded = F.pad(drawing, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        return torch.sigmoid(-self.net(padded))[..., :height, :width]


def _encoders(model: FaceModel) -> Network:
    size, latent = model.architecture.size, model.architecture.latent
    sketch = "-1 ink to 1 paper; a front face in the FFHQ frame"
    return Network(
        name="encoders",
        title="codes of a sketch's five parts",
        net=model.encoders,
        source=Port("sketch", "float32", ("batch", 1, size, size), sketch),
        target=Port("codes", "float32", ("batch", 5, latent), ", ".join(PARTS)),
        samples=_batches(_sketches(size)),
        example=f"""sketch = Image.open("sketch.png").convert("L").resize(({size}, {size}))
sketch = np.asarray(sketch, np.float32) / 127.5 - 1
codes = network("encoders").run(None, {{"sketch": sketch[None, None]}})[0]""",
        **_of_model(model),
    )


def _face(model: FaceModel) -> Network:
    size, latent = model.architecture.size, model.architecture.latent
    with torch.inference_mode():
        codes = model.encoders(_sketches(size))
    return Network(
        name="face",
        title="a face from five codes, of encoders.onnx or drawn towards faces that are known",
        net=_Face(model.generator),
        source=Port("codes", "float32", ("batch", 5, latent), "as encoders.onnx gives them"),
        target=Port("face", "float32", ("batch", 3, size, size), "RGB, -1 to 1"),
        samples=_batches(codes),
        example="""face = network("face").run(None, {"codes": codes})[0]
Image.fromarray(np.uint8((face[0].transpose(1, 2, 0) + 1) * 127.5 + 0.5)).save("face.png")""",
        **_of_model(model),
    )


def _of_model(model: FaceModel) -> dict[str, Any]:
    facts = dict(model.facts)
    licences = facts.get("licences") or ["unknown: see the card of the model and of its dataset"]
    return {"architecture": facts.pop("architecture"), "licence": "; ".join(map(str, licences)), "facts": facts}


def _hed(offline: bool) -> Network:
    from sketchprep.core import weights
    from sketchprep.nn.hed import SMALLEST_SIDE, load_hed

    net = load_hed(weights.path("hed", offline=offline))
    shape = ("batch", "height", "width")
    photos = [torch.from_numpy(np.stack(_photos(*size)[:count])) for count, size in ((2, (153, 202)), (1, (97, 80)))]
    return Network(
        name="hed",
        title="edges of a photo by holistically-nested edge detection",
        net=_Photo(net),
        source=Port("photo", "uint8", (*shape, 3), f"RGB, 0 to 255; sides from {SMALLEST_SIDE} up, any parity"),
        target=Port("edges", "float32", shape, "probability of an edge, 0 to 1"),
        samples=photos,
        architecture={"network": "hed", "margin": net.margin},
        licence=_licence("hed"),
        example="""photo = np.asarray(Image.open("photo.jpg").convert("RGB"))
edges = network("hed").run(None, {"photo": photo[None]})[0]
Image.fromarray(np.uint8(255 * (1 - edges[0]) + 0.5)).save("edges.png")""",
    )


def _simplifier() -> Network:
    from sketchprep.core import weights
    from sketchprep.nn.simplifier import load_simplifier

    net = load_simplifier(weights.path("simplifier"))
    shape = ("batch", 1, "height", "width")
    return Network(
        name="simplifier",
        title="clean lines from a rough drawing or a photocopy",
        net=_Paper(net),
        source=Port("drawing", "float32", shape, "0 ink to 1 paper; sides from 16 up, any parity"),
        target=Port("clean", "float32", shape, "0 ink to 1 paper, soft where unsure"),
        samples=[_copies(2, 155, 204), _copies(1, 96, 80), _copies(3, 65, 121)],
        architecture={"network": "simplifier", "width": net.width},
        licence=_licence("simplifier"),
        example="""drawing = np.asarray(Image.open("rough.png").convert("L"), np.float32) / 255
clean = network("simplifier").run(None, {"drawing": drawing[None, None]})[0]
Image.fromarray(np.uint8(clean[0, 0] * 255 + 0.5)).save("clean.png")""",
    )


def _licence(weight: str) -> str:
    from sketchprep.core import weights

    state = weights.state(weight)
    return f"{state.licence}. {state.restriction}".rstrip(". ") + "."


def _batches(whole: Tensor) -> list[Tensor]:
    return [whole[:2], whole[2:3], whole]


def _sketches(size: int) -> Tensor:
    """Bundled portraits as photocopies, float32 (4, 1, size, size) in -1..1."""
    return _copies(len(_PORTRAITS), size, size) * 2 - 1


def _copies(count: int, height: int, width: int) -> Tensor:
    """Photocopies of bundled portraits, float32 (count, 1, height, width) in 0..1."""
    from sketchprep.ops.photocopy import photocopy

    grey = np.stack([photocopy(photo) for photo in _photos(height, width)[:count]])
    return torch.from_numpy(grey)[:, None].float() / 255


@lru_cache(maxsize=4)
def _photos(height: int, width: int) -> list[np.ndarray]:
    from sketchprep.core.resources import resource
    from sketchprep.io import images
    from sketchprep.ops.resize import resize

    folder = resource("data/portraits")
    photos = [images.decode((folder / f"{name}.jpg").read_bytes()) for name in _PORTRAITS]
    return [resize(photo, (width, height)) for photo in photos]
