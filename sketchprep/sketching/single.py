"""One stage on any pictures, as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files, images
from sketchprep.records import Failure
from sketchprep.sketching import recipe, stages
from sketchprep.sketching.recipe import Recipe, Stage

if TYPE_CHECKING:
    import numpy as np

__all__ = ["sketch", "sketch_files"]


def sketch(
    image: np.ndarray,
    op: str,
    *,
    landmarks: np.ndarray | None = None,
    device: str = "auto",
    offline: bool = False,
    **params: Any,
) -> np.ndarray:
    """Run one op, by its name, on one picture.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB photo, or grey sketch, as the op takes it.
    op : str
        A key of `sketchprep.sketching.stages.OPS`: ``"hed"``, ``"canny"``, ``"photocopy"`` and so on.
    landmarks : ndarray, shape (68, 2), optional
        (x, y) in pixels, for ops that use them.
    device : str
        For networks: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch missing weights.
    **params
        The op's own parameters.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Black ink on white.

    Raises
    ------
    UserError
        For an unknown op or parameter, missing landmarks, or missing weights.

    Examples
    --------
    >>> import numpy as np, sketchprep
    >>> sketchprep.sketch(np.full((8, 8, 3), 255, np.uint8), "canny").min()
    np.uint8(255)
    """
    try:
        stages.check_graph({op: (op, "photo", params)})
    except ValueError as error:
        raise UserError(str(error)) from None
    if stages.OPS[op].landmarks == "required" and landmarks is None:
        raise UserError(f"{op} needs landmarks; give the 68 points of the face")
    network = _cached_network(op, params.get("weights"), device, offline) if stages.OPS[op].asset else None
    return stages.run(op, [image], [landmarks], params, network)[0]


@cache
def _cached_network(op: str, weights: str | None, device: str, offline: bool) -> Any:
    return _network(Stage(op=op, weights=weights), device, offline)  # type: ignore[call-arg]


def sketch_files(
    photos: Sequence[Path],
    stage: str,
    out: Path,
    *,
    recipe_name: str = "celebamask-hq",
    overrides: Iterable[str] = (),
    device: str = "auto",
    offline: bool = False,
) -> list[Failure]:
    """Run a stage, and what it depends on, on pictures of any size; write one PNG for each.

    Parameters
    ----------
    photos : sequence of Path
        Picture files.
    stage : str
        A stage of the recipe, or the name of an op, which then runs with its defaults on the photo.
    out : Path
        Folder for ``NAME.png``; two inputs of one name are refused before anything is written.

    Returns
    -------
    list of Failure
        The pictures that could not be used.

    Raises
    ------
    UserError
        For an unknown stage, two inputs of one name, or a folder that cannot be written.
    """
    graph = _graph(recipe.load(recipe_name, overrides), stage)
    targets = files.targets(photos, out)
    networks = {name: _network(s, device, offline) for name, s in graph.items() if stages.OPS[s.op].asset}
    landmarker = _landmarker(offline) if any(stages.OPS[s.op].landmarks != "no" for s in graph.values()) else None
    failures = []
    for photo, target in zip(photos, targets, strict=True):
        try:
            image = images.decode(files.read(photo))
            result = _run(image, graph, networks, landmarker)
        except SampleError as error:
            failures.append(Failure(str(photo), "file", stage, error.kind, error.message, error.rejected))
            continue
        files.write(images.encode_png(result), target)
    return failures


def _graph(rec: Recipe, stage: str) -> dict[str, Stage]:
    if stage in rec.stages:
        return {name: rec.stages[name] for name in stages.order({n: s.input for n, s in rec.stages.items()}, [stage])}
    if stage in stages.OPS:
        return {stage: Stage(op=stage)}
    known = sorted({*rec.stages, *stages.OPS})
    raise UserError(f"--stage {stage}: unknown; stages of the recipe and ops: {', '.join(known)}")


def _network(stage: Stage, device: str, offline: bool) -> Any:
    from sketchprep.core import runtime

    where = runtime.resolve_device(device)
    dtype = runtime.resolve_dtype("auto", where)
    return stages.load_network(stage.op, stage.params, device=where, dtype=dtype, offline=offline)


def _landmarker(offline: bool) -> Any:
    from sketchprep.core import weights as assets
    from sketchprep.sketching.landmarks import Landmarker

    return Landmarker(assets.path("dlib-landmarks-68", offline=offline))


def _run(image: Any, graph: dict[str, Stage], networks: dict[str, Any], landmarker: Any) -> Any:
    points = None
    if landmarker is not None:
        faces = landmarker.faces(image)
        points = landmarker.points(image, faces[0]) if faces else None
    results = {"photo": image}
    for name, stage in graph.items():
        if points is None and stages.OPS[stage.op].landmarks == "required":
            raise SampleError("no-face", f"no face was found, and {stage.op} needs one")
        results[name] = stages.run(stage.op, [results[stage.input]], [points], stage.params, networks.get(name))[0]
    return results[name]
