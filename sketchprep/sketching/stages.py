"""Registry of the ops that recipes can name: parameters, weights, order of a graph of stages, execution."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core.config import did_you_mean
from sketchprep.errors import UserError
from sketchprep.io.files import expanded
from sketchprep.ops._validation import Parameter, misfit

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "OPS",
    "Op",
    "check_graph",
    "check_parameters",
    "function",
    "load_network",
    "order",
    "parameters",
    "run",
    "weights_file",
]


@dataclass(frozen=True, slots=True)
class Op:
    """One kind of stage.

    Attributes
    ----------
    name, module, attribute : str
        Name in recipes, and where the function lies.
    takes : str
        ``"picture"``, a photo or a sketch, or ``"sketch"``, which another stage must have drawn.
    landmarks : str
        ``"no"``, ``"optional"`` or ``"required"``: whether the op takes the 68 landmarks.
    evidence : bool
        Whether the op takes the photo beside the sketch, to draw only what it shows.
    asset : str or None
        Weights without which it cannot run; such an op is a network and takes batches.
    loader : str
        For networks: the function of `module` that loads the weights, called with (path, device, dtype).
    colour : bool
        For networks: whether it takes RGB only.
    weights : bool
        For networks: whether a recipe may name other weights by the key ``weights``.
    """

    name: str
    module: str
    attribute: str
    takes: str = "picture"
    landmarks: str = "no"
    evidence: bool = False
    asset: str | None = None
    loader: str = ""
    colour: bool = True
    weights: bool = False


OPS: dict[str, Op] = {
    op.name: op
    for op in (
        Op("hed", "sketchprep.nn.hed", "sketch", asset="hed", loader="load_hed"),
        Op("canny", "sketchprep.ops.canny", "canny"),
        Op("photocopy", "sketchprep.ops.photocopy", "photocopy"),
        Op(
            "simplify",
            "sketchprep.nn.simo_serra",
            "sketch_any",
            asset="simplifier",
            loader="load_any",
            colour=False,
            weights=True,
        ),
        Op("tidy", "sketchprep.ops.stroke_cleanup", "tidy", takes="sketch", landmarks="optional"),
        Op("clean", "sketchprep.ops.clean", "clean", takes="sketch", landmarks="optional"),
        Op("complete", "sketchprep.ops.missing_lines", "complete", takes="sketch", landmarks="optional", evidence=True),
        Op("lines", "sketchprep.ops.lines", "lines"),
        Op("two_tone", "sketchprep.ops.two_tone", "two_tone", landmarks="optional"),
        Op("jawline", "sketchprep.ops.jawline", "jawline", takes="sketch", landmarks="required", evidence=True),
    )
}


@cache
def function(name: str) -> Callable[..., Any]:
    """Import and return the function behind an op."""
    op = OPS[name]
    return getattr(importlib.import_module(op.module), op.attribute)


@cache
def parameters(name: str) -> dict[str, Any]:
    """Return an op's parameters with their defaults; landmarks and photo are not among them."""
    if OPS[name].asset:
        return {"weights": None} if OPS[name].weights else {}
    signature = inspect.signature(function(name))
    return {
        p.name: p.default
        for p in signature.parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in ("landmarks", "photo")
    }


def check_graph(graph: Mapping[str, tuple[str, str, Mapping[str, Any]]]) -> None:
    """Check that stages name known ops, parameters and inputs and that no stage depends on itself.

    Parameters
    ----------
    graph : mapping
        Stage name to (op, input, parameters).

    Raises
    ------
    ValueError
        One sentence naming the stage and the word that is wrong.
    """
    for name, (op, source, params) in graph.items():
        if name == "photo" or not name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"stages.{name}: a stage's name is letters, digits, - and _, and not 'photo'")
        if op not in OPS:
            raise ValueError(f"stages.{name}.op: no op is called '{op}' ({did_you_mean(op, OPS)})")
        if source != "photo" and source not in graph:
            raise ValueError(
                f"stages.{name}.input: no stage is called '{source}' ({did_you_mean(source, ['photo', *graph])})"
            )
        if source == "photo" and OPS[op].takes == "sketch":
            raise ValueError(
                f"stages.{name}.input: {op} takes a sketch, not the photo; name the stage whose drawing it shall read"
            )
        check_parameters(op, params, f"stages.{name}")
    order({name: source for name, (_, source, _) in graph.items()}, graph)


def check_parameters(op: str, params: Mapping[str, Any], where: str) -> None:
    """Check that an op has such parameters, and that their values are what it declares.

    Parameters
    ----------
    where : str
        How a message begins: ``"stages.canny"``.

    Raises
    ------
    ValueError
        One sentence naming the parameter, its bounds and the value.
    """
    for key in params:
        if key not in parameters(op):
            known = ["op", "input", *parameters(op)]
            raise ValueError(f"{where}: unknown key '{key}' for {op} ({did_you_mean(key, known)})")
    if OPS[op].asset:
        complaint = _WEIGHTS.complaint(params.get("weights"))
        wrong = ("weights", complaint) if complaint else None
    else:
        wrong = misfit(function(op), params)
    if wrong is not None:
        raise ValueError(f"{where}.{wrong[0]}: {wrong[1]}")


_WEIGHTS = Parameter(str, optional=True)  # of a network: the path of other weights


def order(inputs: Mapping[str, str], wanted: Iterable[str]) -> list[str]:
    """List the stages needed for `wanted`, each after the stage it reads."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name == "photo" or name in done:
            return
        if name in path:
            raise ValueError(f"stages.{name}.input: the stages go in a circle ({' <- '.join([*path, name])})")
        visit(inputs[name], (*path, name))
        done.append(name)

    for name in wanted:
        visit(name, ())
    return done


def load_network(
    op: str, params: Mapping[str, Any], *, device: str = "auto", dtype: str = "auto", offline: bool = False
) -> Any:
    """Load the network of an op: the weights its parameters name, else the op's asset.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dtype : {"auto", "float32", "bfloat16"}
        Auto is bfloat16 where the device has it in hardware.
    offline : bool
        Never fetch missing weights.

    Raises
    ------
    UserError
        If the weights are missing or do not fit, or the device is unknown.
    """
    from sketchprep.core import runtime

    device = runtime.resolve_device(device)
    dtype = runtime.resolve_dtype(dtype, device)
    load = getattr(importlib.import_module(OPS[op].module), OPS[op].loader)
    return load(weights_file(op, params, offline=offline), device=device, dtype=dtype)


def weights_file(op: str, params: Mapping[str, Any], *, offline: bool = False) -> Path:
    """Path of the weights that a network stage runs with."""
    from sketchprep.core import weights as assets

    own = params.get("weights")
    if own is None:
        return assets.path(OPS[op].asset or op, offline=offline)
    path = expanded(own)
    if not path.is_file():
        raise UserError(f"weights: {own} is no file; name the weights' path, or leave the key out for our own")
    return path


def run(
    op: str,
    images: Sequence[np.ndarray],
    landmarks: Sequence[np.ndarray | None],
    params: Mapping[str, Any],
    network: Any = None,
    photos: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Run one op over pictures of one size.

    Parameters
    ----------
    op : str
        Name in `OPS`.
    images : sequence of uint8 ndarrays, (H, W, 3) or (H, W)
        The stage's inputs.
    landmarks : sequence of (68, 2) ndarrays or None
        One for each picture; ops that need none ignore them.
    params : mapping
        The op's keyword parameters.
    network : torch module, optional
        The loaded network of an op that has weights.
    photos : sequence of uint8 ndarrays, (H, W, 3), or None
        The photos that were drawn, for ops that draw only what these show; without them the landmarks are believed.

    Returns
    -------
    list of uint8 ndarrays, (H, W)
        Black ink on white.
    """
    call = function(op)
    if OPS[op].asset:
        import numpy as np

        batch = np.stack(images)
        if batch.ndim == 3 and OPS[op].colour:
            batch = np.repeat(batch[..., None], 3, axis=3)
        return list(call(network, batch))
    if OPS[op].landmarks == "no":
        return [call(image, **params) for image in images]
    if OPS[op].evidence and photos is not None:
        triples = zip(images, landmarks, photos, strict=True)
        return [call(image, landmarks=points, photo=photo, **params) for image, points, photo in triples]
    return [call(image, landmarks=points, **params) for image, points in zip(images, landmarks, strict=True)]
