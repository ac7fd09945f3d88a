"""The networks of DeepFaceDrawing, and the two beside it, as ONNX files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.networks.model import FaceModel, load_face_model
from sketchprep.nn.onnx import Network, Port, hed_network, photocopies, simplifier_network
from sketchprep.ops.face_parts import PARTS
from sketchprep.training import onnx
from sketchprep.training.onnx import OPSETS, Exported

__all__ = ["NAMES", "export_onnx", "networks"]

NAMES = ("encoders", "face", "hed", "simplifier")


def export_onnx(
    run: str | Path | None,
    out: str | Path,
    *,
    only: Sequence[str] | None = None,
    opset: int = OPSETS[0],
    offline: bool = False,
    done: Callable[[Exported], None] | None = None,
) -> list[Exported]:
    """Write ``NAME.onnx`` for each network; see `sketchprep.training.onnx.export_onnx`.

    Parameters
    ----------
    run : path or None
        A run of ``sketchprep train deepfacedrawing`` or its model file; needed for ``encoders`` and ``face``.
    out, opset, done
        See `sketchprep.training.onnx.export_onnx`.
    only : sequence of str, optional
        Of `NAMES`; default: all.
    offline : bool
        Never fetch HED's weights.

    Returns
    -------
    list of Exported
        In the order of `NAMES`.

    Raises
    ------
    UserError
        For an unknown name, a missing model or weight, and as `sketchprep.training.onnx.export_onnx`.
    """
    names = NAMES if only is None else only
    unknown = next((name for name in names if name not in NAMES), None)
    if unknown is not None or not names:
        raise UserError(f"--only {unknown or ''!r}: is no network; use some of {', '.join(NAMES)}")
    onnx.require(opset)
    wanted = [name for name in NAMES if name in names]
    return onnx.export_onnx(networks(wanted, run, offline=offline), out, opset=opset, done=done)


def networks(names: Sequence[str], run: str | Path | None, *, offline: bool = False) -> list[Network]:
    """Load and describe the networks of these names; raises as `export_onnx`."""
    makers: dict[str, Callable[[], Network]] = {
        "hed": lambda: hed_network(offline=offline),
        "simplifier": simplifier_network,
    }
    of_run = [name for name in names if name not in makers]
    if of_run:
        if run is None:
            raise UserError(
                f"RUN is missing: {' and '.join(of_run)} come from a trained model; name a run of `sketchprep train "
                "deepfacedrawing`, or choose --only hed,simplifier"
            )
        model = load_face_model(run)
        makers |= {"encoders": lambda: _encoders(model), "face": lambda: _face(model)}
    return [makers[name]() for name in names]


class _Face(nn.Module):
    """The face generator without its feature maps."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)[0]


def _encoders(model: FaceModel) -> Network:
    size, latent = model.architecture.size, model.architecture.latent
    return Network(
        name="encoders",
        title="codes of a sketch's five parts",
        net=model.encoders,
        source=Port("sketch", "float32", ("batch", 1, size, size), "-1 ink to 1 paper; a front face in the FFHQ frame"),
        target=Port("codes", "float32", ("batch", 5, latent), ", ".join(PARTS)),
        samples=_batches(_sketches(size)),
        **_of_model(model),
    )


def _face(model: FaceModel) -> Network:
    size, latent = model.architecture.size, model.architecture.latent
    with torch.inference_mode():
        codes = model.encoders(_sketches(size))
    return Network(
        name="face",
        title="a face from five codes, of encoders.onnx or projected onto those of known faces",
        net=_Face(model.generator),
        source=Port("codes", "float32", ("batch", 5, latent), "as encoders.onnx gives them"),
        target=Port("face", "float32", ("batch", 3, size, size), "RGB, -1 to 1"),
        samples=_batches(codes),
        **_of_model(model),
    )


def _of_model(model: FaceModel) -> dict[str, Any]:
    facts = dict(model.facts)
    licences = facts.get("licences") or ["unknown: see the card of the model and of its dataset"]
    return {"architecture": facts.pop("architecture"), "licence": "; ".join(map(str, licences)), "facts": facts}


def _batches(whole: Tensor) -> list[Tensor]:
    return [whole[:2], whole[2:3], whole]


def _sketches(size: int) -> Tensor:
    """Photocopies of bundled portraits, float32 (4, 1, size, size) in -1..1."""
    return photocopies(4, size, size) * 2 - 1
