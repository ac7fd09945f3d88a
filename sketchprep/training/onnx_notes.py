"""What an ONNX file says of itself in its header, and what README.txt beside it says of all of them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core.version import VERSION

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.onnx import Network

__all__ = ["NAMES", "describe", "notes_of", "readme"]

NAMES = ("encoders", "face", "hed", "simplifier")


def notes_of(network: Network) -> dict[str, str]:
    """What a network's file says of itself, all text."""
    usage = [
        f"{network.name}.onnx: {network.title}",
        f"  in   {network.source.text()}",
        f"  out  {network.target.text()}",
        f"  licence: {network.licence}",
    ]
    return {
        "producer": f"sketchprep {VERSION}",
        "network": network.name,
        "architecture": json.dumps(network.architecture, sort_keys=True),
        "facts": json.dumps(network.facts, sort_keys=True),
        "licence": network.licence,
        "usage": "\n".join(usage),
        "example": network.example,
    }


def describe(model: Any, notes: dict[str, str]) -> None:
    """Put `notes` into the header, and take out what the exporter wrote of this machine's files into every node."""
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()
        graph.metadata_props.clear()
    model.metadata_props.clear()
    model.metadata_props.update(notes)
    model.producer_name, model.producer_version = "sketchprep", VERSION
    model.doc_string = notes["usage"]


def readme(out: Path, notes: dict[str, dict[str, str]], *, tolerance: float) -> str:
    """What the folder holds, from the headers of the files just written and of those that were there."""
    there = {name: notes.get(name) or _header(out / f"{name}.onnx") for name in NAMES}
    known = {name: note for name, note in there.items() if note}
    usage = "\n\n".join(note["usage"] for note in known.values())
    example = [note["example"] for note in known.values()]
    if "face" in known and "encoders" not in known:
        example.insert(0, 'codes = np.load("codes.npy")  # of encoders.onnx')
    parts = [_README.format(version=VERSION, tolerance=tolerance, usage=usage)]
    parts += [_CODES] if "face" in known else []
    return "\n".join([*parts, _EXAMPLE.format(example="\n\n".join(example))])


def _header(path: Path) -> dict[str, str] | None:
    onnx: Any = importlib.import_module("onnx")
    broken = importlib.import_module("google.protobuf.message").DecodeError
    try:
        found = {prop.key: prop.value for prop in onnx.load(path, load_external_data=False).metadata_props}
    except (OSError, broken, ValueError):
        return None
    return found if {"usage", "example"} <= found.keys() else None


_README = """Networks of sketchprep {version} as ONNX files.

Axes with a name may have any length.  Every file was run by ONNX Runtime on real pictures when it was written, and
agreed with PyTorch to {tolerance:g}.  Architecture, origin and licence are in each file's metadata too.

{usage}
"""

_CODES = """\
sketchprep itself draws a sketch's codes towards those of known faces before it makes a face of them; codes used as
they are give good faces for careful sketches only.
"""

_EXAMPLE = """\
An example in Python, with numpy, onnxruntime and Pillow:

import numpy as np
import onnxruntime
from PIL import Image


def network(name):
    return onnxruntime.InferenceSession(name + ".onnx", providers=["CPUExecutionProvider"])


{example}
"""
