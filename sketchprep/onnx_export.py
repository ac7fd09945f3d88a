"""Networks as ONNX files, each checked by ONNX Runtime against torch before it gets its name."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep import __version__, store
from sketchprep.errors import UserError

if TYPE_CHECKING:
    from sketchprep.onnx_networks import Network

__all__ = ["NAMES", "OPSETS", "TOLERANCE", "Exported", "export_onnx"]

NAMES = ("encoders", "face", "hed", "simplifier")
OPSETS = range(18, 25)
TOLERANCE = 1e-3
README = "README.txt"
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
# An ONNX file is one protocol buffer, which ends at 2 GiB.
_LARGEST = 2_000_000_000
_TALKERS = ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")


@dataclass(frozen=True)
class Exported:
    """A file that passed its check.

    Attributes
    ----------
    path : Path
    bytes : int
    difference : float
        Largest absolute difference from torch's result over all samples.
    """

    path: Path
    bytes: int
    difference: float

    def text(self) -> str:
        """Describe it in a line."""
        return f"{self.path}: {self.bytes / 1e6:.1f} MB, within {self.difference:.1e} of torch"


def export_onnx(
    run: str | Path | None,
    out: str | Path,
    *,
    only: Sequence[str] | None = None,
    opset: int = OPSETS[0],
    offline: bool = False,
    done: Callable[[Exported], None] | None = None,
) -> list[Exported]:
    """Write ``NAME.onnx`` for each network, and a README.txt that describes all of them in the folder.

    Parameters
    ----------
    run : path or None
        A run of ``sketchprep train deepfacedrawing`` or its model file; needed for ``encoders`` and ``face``.
    out : path
        Folder; files of these names in it are replaced, each by one rename.
    only : sequence of str, optional
        Of `NAMES`; default: all.
    opset : int
        ONNX operator set, one of `OPSETS`.
    offline : bool
        Never fetch HED's weights.
    done : callable, optional
        Called after each file.

    Returns
    -------
    list of Exported
        In the order of `NAMES`.

    Raises
    ------
    UserError
        For an unknown name or opset, a missing package, model or weight, a folder that cannot be written, or a file
        whose results differ from torch's by more than `TOLERANCE`: such a file is not left behind.

    Notes
    -----
    Weights are float32 in every file.  The sketch simplifier and HED take any height and width, all take any batch.
    """
    wanted, out = _wanted(only), Path(out)
    if opset not in OPSETS:
        raise UserError(f"--opset {opset}: cannot be written; use {OPSETS[0]} to {OPSETS[-1]}")
    _require()
    from sketchprep.onnx_networks import collect

    networks = collect(wanted, Path(run) if run is not None else None, offline=offline)
    results, notes = [], {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for network in networks:
            exported, notes[network.name] = _export(network, out / f"{network.name}.onnx", opset)
            results.append(exported)
            if done is not None:
                done(exported)
        with store.atomic(out / README) as temporary:
            temporary.write_text(_readme(out, notes), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"-o {out}: cannot be written ({error.strerror or error}); make space or choose another folder"
        ) from None
    return results


def _wanted(only: Sequence[str] | None) -> list[str]:
    names = NAMES if only is None else only
    unknown = next((name for name in names if name not in NAMES), None)
    if unknown is not None or not names:
        raise UserError(f"--only {unknown or ''!r}: is no network; use some of {', '.join(NAMES)}")
    return [name for name in NAMES if name in names]


def _require() -> None:
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f"export-onnx needs the package {name}; run `pip install 'sketchprep[onnx]'`") from None


def _export(network: Network, path: Path, opset: int) -> tuple[Exported, dict[str, str]]:
    """Trace, write, check, and only then name the file; with it, what its header says."""
    weight = sum(tensor.numel() * tensor.element_size() for tensor in network.net.state_dict().values())
    if weight > _LARGEST:
        raise UserError(f"{network.name}: {weight / 1e9:.1f} GB of weights do not fit into an ONNX file; 2 GB do")
    program = _traced(network, opset)
    notes = _notes(network)
    _describe(program.model, notes)
    with store.atomic(path) as temporary:
        program.save(temporary, external_data=False)
        difference = _difference(network, temporary, opset)
        if not difference <= TOLERANCE:
            raise UserError(
                f"{path}: was not kept, as its results differ from torch's by {difference:.1e} (at most {TOLERANCE:g} "
                "is allowed); try another --opset or another version of onnxruntime"
            )
    return Exported(path, path.stat().st_size, difference), notes


def _traced(network: Network, opset: int) -> Any:
    import torch

    free = {axis: word for axis, word in enumerate(network.source.shape) if isinstance(word, str)}
    with _quiet():
        program = torch.onnx.export(
            network.net.eval(),
            (network.samples[0],),
            dynamo=True,
            dynamic_shapes=(free,),
            input_names=[network.source.name],
            output_names=[network.target.name],
            opset_version=opset,
            verbose=False,
        )
    assert program is not None
    found = program.model.opset_imports.get("")
    if found != opset:
        raise UserError(f"--opset {opset}: {network.name} could only be written in {found}; use that")
    return program


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # The exporter talks of its own optional packages and of its insides; what matters is checked afterwards.
    before = {name: logging.getLogger(name).level for name in _TALKERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in _TALKERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


def _notes(network: Network) -> dict[str, str]:
    usage = [
        f"{network.name}.onnx: {network.title}",
        f"  in   {network.source.text()}",
        f"  out  {network.target.text()}",
        f"  licence: {network.licence}",
    ]
    return {
        "producer": f"sketchprep {__version__}",
        "network": network.name,
        "architecture": json.dumps(network.architecture, sort_keys=True),
        "facts": json.dumps(network.facts, sort_keys=True),
        "licence": network.licence,
        "usage": "\n".join(usage),
        "example": network.example,
    }


def _describe(model: Any, notes: dict[str, str]) -> None:
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
    model.producer_name, model.producer_version = "sketchprep", __version__
    model.doc_string = notes["usage"]


def _difference(network: Network, path: Path, opset: int) -> float:
    """Largest absolute difference between ONNX Runtime and torch over the samples; infinite for another shape."""
    import numpy as np
    import torch

    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(
            f"--opset {opset}: ONNX Runtime {runtime.__version__} cannot open {network.name}.onnx "
            f"({str(error).splitlines()[0]}); use a lower one"
        ) from None
    found = []
    for sample in network.samples:
        with torch.inference_mode():
            expected = network.net(sample).numpy()
        result = session.run([network.target.name], {network.source.name: sample.numpy()})[0]
        found.append(np.abs(result - expected).max() if result.shape == expected.shape else np.inf)
    return float(np.max(found))


def _readme(out: Path, notes: dict[str, dict[str, str]]) -> str:
    """What the folder holds, from the headers of the files just written and of those that were there."""
    there = {name: notes.get(name) or _header(out / f"{name}.onnx") for name in NAMES}
    known = {name: note for name, note in there.items() if note}
    usage = "\n\n".join(note["usage"] for note in known.values())
    example = [note["example"] for note in known.values()]
    if "face" in known and "encoders" not in known:
        example.insert(0, 'codes = np.load("codes.npy")  # of encoders.onnx')
    parts = [_README.format(version=__version__, tolerance=TOLERANCE, usage=usage)]
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
