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

from sketchprep.core.version import VERSION
from sketchprep.errors import UserError
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    from sketchprep.nn.onnx import Network

__all__ = ["OPSETS", "TOLERANCE", "Exported", "export_onnx", "require"]

OPSETS = range(18, 25)
TOLERANCE = 1e-3
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


def require(opset: int) -> None:
    """Raise `UserError` for an unknown opset or a missing package."""
    if opset not in OPSETS:
        raise UserError(f"--opset {opset}: cannot be written; use {OPSETS[0]} to {OPSETS[-1]}")
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f"export-onnx needs the package {name}; run `pip install 'sketchprep[onnx]'`") from None


def export_onnx(
    networks: Sequence[Network],
    out: str | Path,
    *,
    opset: int = OPSETS[0],
    done: Callable[[Exported], None] | None = None,
) -> list[Exported]:
    """Write ``NAME.onnx`` for each network.

    Parameters
    ----------
    networks : sequence of Network
    out : path
        Folder; files of these names in it are replaced, each by one rename.
    opset : int
        ONNX operator set, one of `OPSETS`.
    done : callable, optional
        Called after each file.

    Raises
    ------
    UserError
        For an unknown opset, a missing package, a folder that cannot be written, or a file whose results differ from
        torch's by more than `TOLERANCE`: such a file is not left behind.

    Notes
    -----
    Weights are float32 in every file.  The header tells network, architecture, inputs and outputs, licence and facts.
    """
    require(opset)
    out, results = Path(out), []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for network in networks:
            results.append(_export(network, out / f"{network.name}.onnx", opset))
            if done is not None:
                done(results[-1])
    except OSError as error:
        raise UserError(
            f"-o {out}: cannot be written ({error.strerror or error}); make space or choose another folder"
        ) from None
    return results


def _export(network: Network, path: Path, opset: int) -> Exported:
    """Trace, write, check, and only then name the file."""
    weight = sum(tensor.numel() * tensor.element_size() for tensor in network.net.state_dict().values())
    if weight > _LARGEST:
        raise UserError(f"{network.name}: {weight / 1e9:.1f} GB of weights do not fit into an ONNX file; 2 GB do")
    program = _traced(network, opset)
    _describe(program.model, network)
    with atomic(path) as temporary:
        program.save(temporary, external_data=False)
        difference = _difference(network, temporary, opset)
        if not difference <= TOLERANCE:
            raise UserError(
                f"{path}: was not kept, as its results differ from torch's by {difference:.1e} (at most {TOLERANCE:g} "
                "is allowed); try another --opset or another version of onnxruntime"
            )
    return Exported(path, path.stat().st_size, difference)


def _describe(model: Any, network: Network) -> None:
    """Write the header, and take out what the exporter wrote of this machine's files into every node."""
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
    model.metadata_props.update(
        producer=f"sketchprep {VERSION}",
        network=network.name,
        architecture=json.dumps(network.architecture, sort_keys=True),
        facts=json.dumps(network.facts, sort_keys=True),
        licence=network.licence,
    )
    model.producer_name, model.producer_version = "sketchprep", VERSION
    model.doc_string = f"{network.title}\nin   {network.source.text()}\nout  {network.target.text()}"


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


def _difference(network: Network, path: Path, opset: int) -> float:
    """Largest absolute difference between ONNX Runtime and torch over the samples; infinite for another shape."""
    import numpy as np
    import torch

    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    with torch.inference_mode():
        expected = [network.net(sample).numpy() for sample in network.samples]
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        found = [session.run(None, {network.source.name: sample.numpy()})[0] for sample in network.samples]
    except Exception as error:  # its exceptions have no base of their own
        raise UserError(
            f"{path}: was not kept, as ONNX Runtime {runtime.__version__} cannot run it with --opset {opset} "
            f"({str(error).splitlines()[0]}); try another"
        ) from None
    pairs = zip(found, expected, strict=True)
    return float(np.max([np.abs(a - b).max() if a.shape == b.shape else np.inf for a, b in pairs]))
