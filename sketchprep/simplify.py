"""Clean line drawings from rough ones and from photocopies, file by file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep import files, stages
from sketchprep.errors import SampleError, UserError
from sketchprep.records import Failure

if TYPE_CHECKING:
    import numpy as np

__all__ = ["simplify_files", "simplify_image"]

SMALLEST_SIDE = 16


def simplify_files(
    images: Sequence[Path],
    out: Path,
    *,
    weights: Path | str | None = None,
    tidy: bool | Mapping[str, Any] = False,
    svg: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    offline: bool = False,
) -> list[Failure]:
    """Simplify drawings or photocopies of any size and kind; write ``NAME.png``, and ``NAME.svg`` if wanted.

    Parameters
    ----------
    images : sequence of Path
        Picture files: black on white, white on black, on toned or unevenly lit paper.
    out : Path
        Folder for the results; two inputs of one name are refused before anything is written.
    weights : Path or str, optional
        Safetensors of the project's own network, or converted weights of Simo-Serra's; default: the bundled ones.
    tidy : bool or mapping
        Turn the soft result into decided strokes, see `sketchprep.ops.strokes.tidy`; a mapping gives its parameters.
    svg : bool
        Trace the result too; needs vtracer.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dtype : {"auto", "float32", "bfloat16"}
    offline : bool
        Never fetch missing weights.

    Returns
    -------
    list of Failure
        The pictures that could not be used.  Where only the tracing failed, the PNG is there.

    Raises
    ------
    UserError
        For two inputs of one name, a result that would overwrite its input, unusable weights, an unknown device, no
        vtracer, or a folder that cannot be written.
    """
    pngs = files.targets(images, out)
    svgs = files.targets(images, out, suffix=".svg") if svg else [None] * len(images)
    if svg:
        from sketchprep.svg import require

        require()
    network = _network(weights, device, dtype, offline)
    words = dict(tidy) if isinstance(tidy, Mapping) else {} if tidy else None
    failures = []
    for image, png, traced in zip(images, pngs, svgs, strict=True):
        try:
            _simplify_file(image, png, traced, network, words)
        except SampleError as error:
            failures.append(Failure(str(image), "file", "simplify", error.kind, error.message, error.rejected))
    return failures


def simplify_image(image: np.ndarray, network: Any, *, tidy: Mapping[str, Any] | None = None) -> np.ndarray:
    """Simplify one drawing: paper and polarity, network, tidying if wanted.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
    network : Simplifier or SimoSerra
        See `sketchprep.models.simo_serra.load_any`.
    tidy : mapping, optional
        Parameters of `sketchprep.ops.strokes.tidy`; None leaves the result soft.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Black ink on white; white all over for a page of one tone.

    Raises
    ------
    SampleError
        Of kind ``"too-small"`` under 16 px.
    """
    from sketchprep.models.simo_serra import sketch_any
    from sketchprep.ops.paper import polarity, to_black_on_white
    from sketchprep.ops.strokes import tidy as decide

    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise SampleError("too-small", f"{width}x{height} px; the shorter side must have {SMALLEST_SIDE} px")
    page = to_black_on_white(image)
    if polarity(page) == "blank":
        return page
    result = sketch_any(network, page[None])[0]
    return result if tidy is None else decide(result, **tidy)


def _simplify_file(image: Path, png: Path, traced: Path | None, network: Any, tidy: Mapping[str, Any] | None) -> None:
    from sketchprep import imageio

    result = simplify_image(imageio.decode_gray(files.read(image)), network, tidy=tidy)
    files.write(imageio.encode_png(result), png)
    if traced is not None:
        from sketchprep.svg import trace

        files.write(trace(result).encode(), traced)


def _network(weights: Path | str | None, device: str, dtype: str, offline: bool) -> Any:
    from sketchprep import host

    if weights is not None and not Path(weights).expanduser().is_file():
        raise UserError(f"--weights {weights} is no file; name a weight file, or leave it out for the bundled weights")
    where = host.resolve_device(device)
    params = {"weights": None if weights is None else str(weights)}
    return stages.load_network(
        "simplify", params, device=where, dtype=host.resolve_dtype(dtype, where), offline=offline
    )
