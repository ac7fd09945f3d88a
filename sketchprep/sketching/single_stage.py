"""One stage on any pictures as they are: no alignment, the same height and width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files, images
from sketchprep.records import Failure
from sketchprep.sketching import recipe, stages
from sketchprep.sketching.recipe import Recipe, Stage
from sketchprep.sketching.sketcher import Sketcher

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
    network = _network(op, params.get("weights"), device, offline) if stages.OPS[op].asset else None
    return stages.run(op, [image], [landmarks], params, network)[0]


@cache
def _network(op: str, weights: str | None, device: str, offline: bool) -> Any:
    return stages.load_network(op, {"weights": weights}, device=device, offline=offline)


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
    rec = recipe.load(recipe_name, overrides)
    sketcher = Sketcher(rec, graph=_graph(rec, stage), device=device, offline=offline)
    targets = files.targets(photos, out)
    sketcher.load(landmarks=False)
    failures = []
    for photo, target in zip(photos, targets, strict=True):
        try:
            image = images.decode(files.read(photo))
            result = _run(sketcher, image)[stage]
        except SampleError as error:
            failures.append(Failure(str(photo), "file", stage, error.kind, error.message, error.rejected))
            continue
        files.write(images.encode_png(result), target)
    return failures


def _graph(rec: Recipe, stage: str) -> Mapping[str, Stage]:
    if stage in rec.stages:
        return rec.needed([stage])
    if stage in stages.OPS:
        return {stage: Stage(op=stage)}
    known = sorted({*rec.stages, *stages.OPS})
    raise UserError(f"--stage {stage}: unknown; stages of the recipe and ops: {', '.join(known)}")


def _run(sketcher: Sketcher, photo: np.ndarray) -> dict[str, np.ndarray]:
    wanted = any(stages.OPS[stage.op].landmarks != "no" for stage in sketcher.graph.values())
    (drawn,) = sketcher.run([{"photo": photo}], [sketcher.landmarks(photo) if wanted else None])
    return drawn
