"""OpenVINO IR models (version 10) read without OpenVINO, and the face generator among them."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Constant", "face_generator_tensors", "read_constants"]

STYLE_DIM, TENSORS = 512, 124  # of MobileStyleGAN for FFHQ
_NAMED = re.compile(r"m\.(?:layers\.(?P<block>\d)\.)?(?P<part>input|up|conv1|conv2|to_img)\.(?:conv\.)?(?P<rest>.+)")


@dataclass(frozen=True)
class Constant:
    """One float32 constant of a graph.

    Parameters
    ----------
    name : str
        As the graph has it; meaningful only where the exporter kept a weight's name.
    value : ndarray of float32
    consumers : tuple of str
        Types of the layers that it goes into, for instance ``Convolution``.
    """

    name: str
    value: np.ndarray
    consumers: tuple[str, ...]


def read_constants(xml: Path, weights: Path) -> list[Constant]:
    """Read all float32 constants of a model, in the order of its layers.

    Parameters
    ----------
    xml, weights : Path
        The pair of files, ``.xml`` and ``.bin``.

    Raises
    ------
    UserError
        If the files are no such pair: not XML, or offsets beyond the end.
    """
    import numpy as np

    try:
        net = ElementTree.fromstring(xml.read_bytes())
        data = memoryview(weights.read_bytes())
        kinds = {layer.attrib["id"]: layer.attrib["type"] for layer in net.iter("layer")}
        consumers: dict[str, list[str]] = {}
        for edge in net.iter("edge"):
            consumers.setdefault(edge.attrib["from-layer"], []).append(kinds[edge.attrib["to-layer"]])
        constants = []
        for layer in net.iter("layer"):
            facts = layer.find("data")
            if layer.attrib["type"] != "Const" or facts is None or facts.attrib["element_type"] != "f32":
                continue
            shape = tuple(int(n) for n in facts.attrib["shape"].split(",") if n.strip())
            offset = int(facts.attrib["offset"])
            value = np.frombuffer(data, "<f4", math.prod(shape), offset).reshape(shape)
            constants.append(Constant(layer.attrib["name"], value, tuple(consumers.get(layer.attrib["id"], ()))))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise UserError(f"{xml}: is no OpenVINO model with its weights ({error}); fetch it again") from error
    return constants


def face_generator_tensors(synthesis: Path) -> dict[str, np.ndarray]:
    """Read MobileStyleGAN's weights by the names of `sketchprep.nn.face_generator`.

    Parameters
    ----------
    synthesis : Path
        ``SynthesisNetwork.bin``; its ``.xml`` and both files of ``MappingNetwork`` lie beside it.

    Raises
    ------
    UserError
        If a file is no OpenVINO model, or lacks a layer.
    """
    mapping, drawing = (
        read_constants(synthesis.with_name(f"{name}.xml"), synthesis.with_name(f"{name}.bin"))
        for name in ("MappingNetwork", "SynthesisNetwork")
    )
    tensors = _mapping_tensors(mapping) | _synthesis_tensors(drawing)
    if len(tensors) != TENSORS:
        raise UserError(f"{synthesis}: has {len(tensors)} tensors of the face generator, not {TENSORS}; fetch it again")
    return tensors


def _mapping_tensors(constants: list[Constant]) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for kind, dims in (("weight", 2), ("bias", 1)):
        layers = [c.value for c in constants if c.value.ndim == dims and c.value.shape[0] == STYLE_DIM]
        tensors |= {f"mapping.{number}.{kind}": value for number, value in enumerate(layers)}
    return tensors


def _synthesis_tensors(constants: list[Constant]) -> dict[str, np.ndarray]:
    """Named constants by their names; folded ones, which lost theirs, belong to the layer named last before them."""
    tensors: dict[str, np.ndarray] = {}
    layer = ""
    for constant in constants:
        value = constant.value
        if m := _NAMED.fullmatch(constant.name):
            block, part, rest = m["block"], m["part"], m["rest"]
            if part == "input":
                tensors["input"], layer = value, "first"
                continue
            base = "to_wavelets" if part == "to_img" else "first" if block is None else f"blocks.{block}.{part}"
            rest = {"weight_dw": "depthwise.weight", "weight": "conv.weight"}.get(rest, rest)
            if part == "up":
                rest = rest.removeprefix("modulation.")
            if (part, rest) == ("to_img", "bias"):
                rest = "conv.bias"
            if rest == "depthwise.weight":
                value, layer = value.reshape(-1, 1, 3, 3), base
            flat = rest in ("modulation.bias", "conv.bias") or (part, rest) == ("up", "bias")
            tensors[f"{base}.{rest}"] = value.reshape(-1) if flat else value
        elif value.ndim == 4 and value.size > 16 and constant.consumers == ("Convolution",):
            tensors[f"{layer}.conv.weight"] = value
        elif value.ndim == 4 and value.size > 1 and value.shape[:2] == (1, 1) and constant.consumers == ("Add",):
            tensors[f"{layer}.noise"] = value
    return tensors
