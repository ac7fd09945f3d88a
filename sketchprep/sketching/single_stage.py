"""Run one stage on pictures as they are, without alignment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, overload

import numpy as np

from sketchprep.core.config import did_you_mean
from sketchprep.errors import SampleError, UserError
from sketchprep.io import files, images
from sketchprep.io.marks import mark, stage_of
from sketchprep.io.pictures import Picture, as_image, as_images, is_batch
from sketchprep.records import Failure
from sketchprep.sketching import recipe, stages
from sketchprep.sketching.recipe import Recipe, Stage
from sketchprep.sketching.sketcher import Sketcher

__all__ = ["sketch", "sketch_files"]

MARKED_BYTES = 4096  # of a file, in which its mark lies


@overload
def sketch(image: list[Picture] | tuple[Picture, ...], op: str, **options: Any) -> list[np.ndarray]: ...


@overload
def sketch(image: Picture, op: str, **options: Any) -> np.ndarray: ...


def sketch(
    image: Picture | list[Picture] | tuple[Picture, ...],
    op: str,
    *,
    landmarks: np.ndarray | Sequence[np.ndarray | None] | None = None,
    device: str = "auto",
    offline: bool = False,
    **params: Any,
) -> np.ndarray | list[np.ndarray]:
    """Run one op, by its name, on one picture or on several.

    Parameters
    ----------
    image : str, Path, PIL image, ndarray or Tensor, or a list of them
        RGB photo, or grey sketch, as the op takes it.  Arrays are (H, W, 3) or (H, W), tensors (3, H, W) or (H, W);
        integers are uint8, 0 to 255, floating point goes from 0 to 1.  Four axes are a batch.  See
        `sketchprep.io.pictures`.
    op : str
        A key of `sketchprep.sketching.stages.OPS`: ``"hed"``, ``"canny"``, ``"photocopy"`` and so on.
    landmarks : ndarray, shape (68, 2), optional
        (x, y) in pixels, for ops that use them; one such array for each picture of a batch.
    device : str
        For networks: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch missing weights.
    **params
        The op's own parameters.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Black ink on white.  For a list a list of them, for a batch in one array or tensor (B, H, W).

    Raises
    ------
    UserError
        For an unknown op or parameter, a picture of another type, shape or range, missing landmarks, or missing
        weights.

    Examples
    --------
    >>> import numpy as np, sketchprep
    >>> sketchprep.sketch(np.ones((8, 8, 3)), "canny").min()
    np.uint8(255)
    """
    if op not in stages.OPS:
        raise UserError(f"no op is called '{op}' ({did_you_mean(op, stages.OPS)})")
    try:
        stages.check_parameters(op, params, op)
    except ValueError as error:
        raise UserError(str(error)) from None
    batch = is_batch(image)
    pictures = as_images(image) if batch else [as_image(image)]  # type: ignore[arg-type]
    points = list(landmarks) if batch and landmarks is not None else [landmarks] * len(pictures)
    if len(points) != len(pictures):
        raise UserError(f"landmarks: {len(points)} for {len(pictures)} pictures; give one array of 68 points for each")
    if stages.OPS[op].landmarks == "required" and any(p is None for p in points):
        raise UserError(f"{op} needs landmarks; give the 68 points of the face")
    network = _network(op, params.get("weights"), device, offline) if stages.OPS[op].asset else None
    try:
        drawn = [
            stages.run(op, [picture], [one], params, network)[0]  # type: ignore[list-item]
            for picture, one in zip(pictures, points, strict=True)
        ]
    except ValueError as error:  # an op's word on its arguments
        raise UserError(f"{op}: {error}") from None
    if not batch:
        return drawn[0]
    return drawn if isinstance(image, list | tuple) else np.stack(drawn)


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
        A stage of the recipe, or the name of an op, which then runs with its defaults: on the photo, or if it takes a
        sketch, on what the recipe gives this op elsewhere, else on the recipe's final sketch.
    out : Path
        Folder for ``NAME.png``; two inputs of one name are refused before anything is written, and so is a file that
        is there already, unless the same stage made it.

    Returns
    -------
    list of Failure
        The pictures that could not be used.

    Raises
    ------
    UserError
        For an unknown stage, a parameter out of range, two inputs of one name, files of other stages in their place, or
        a folder that cannot be written.
    """
    rec = recipe.load(recipe_name, overrides)
    sketcher = Sketcher(rec, graph=_graph(rec, stage), device=device, offline=offline)
    targets = files.targets(photos, out)
    _refuse_others(targets, stage)
    sketcher.load(landmarks=False)
    failures = []
    for photo, target in zip(photos, targets, strict=True):
        try:
            image = images.decode(files.read(photo))
            result = _run(sketcher, image)[stage]
            files.write_named(mark(images.encode_png(result), stage), target)
        except SampleError as error:
            failures.append(Failure(str(photo), "file", stage, error.kind, error.message, error.rejected))
            continue
        except ValueError as error:  # an op's word on a picture: a side that is too long
            raise UserError(f"--stage {stage}: {error}") from None
    return failures


def _refuse_others(targets: Iterable[Path], stage: str) -> None:
    """Raise UserError if a result would overwrite a file that another stage or another program has made."""
    for target in targets:
        if target.is_file():
            with target.open("rb") as file:
                found = stage_of(file.read(MARKED_BYTES))
            if found != stage:
                maker = f"a result of --stage {found}" if found else "no result of `sketchprep sketch`"
                raise UserError(
                    f"--stage {stage}: {target} is {maker} and stays as it is; choose another folder with -o"
                )


def _graph(rec: Recipe, stage: str) -> Mapping[str, Stage]:
    if stage in rec.stages:
        return rec.needed([stage])
    if stage in stages.OPS:
        if stages.OPS[stage].takes != "sketch":
            return {stage: Stage(op=stage)}
        read = next((other.input for other in rec.stages.values() if other.op == stage), rec.sketch)
        if read is None:
            raise UserError(f"--stage {stage}: takes a sketch, and the recipe {rec.name} draws none; take another")
        return {**rec.needed([read]), stage: Stage(op=stage, input=read)}
    known = sorted({*rec.stages, *stages.OPS})
    raise UserError(f"--stage {stage}: unknown; stages of the recipe and ops: {', '.join(known)}")


def _run(sketcher: Sketcher, photo: np.ndarray) -> dict[str, np.ndarray]:
    wanted = any(stages.OPS[stage.op].landmarks != "no" for stage in sketcher.graph.values())
    (drawn,) = sketcher.run([{"photo": photo}], [sketcher.landmarks(photo) if wanted else None])
    return drawn
