"""Simplification of drawing files: rough drawings and photocopies to clean lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files
from sketchprep.io.marks import mark
from sketchprep.records import Failure
from sketchprep.sketching import stages

if TYPE_CHECKING:
    import numpy as np

__all__ = ["simplify_files"]

SMALLEST_SIDE = 16


def simplify_files(
    images: Sequence[Path],
    out: Path,
    *,
    weights: Path | str | None = None,
    tidy: bool | Mapping[str, Any] = False,
    svg: bool = False,
    batch: int = 1,
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
        Turn the soft result into decided strokes, see `sketchprep.ops.stroke_cleanup.tidy`; a mapping gives its
        parameters.
    svg : bool
        Trace the result too; needs vtracer.
    batch : int
        Pictures of one size that go through the network together, for a GPU; on a CPU it makes no difference.
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
        vtracer, a batch below 1, or a folder that cannot be written.
    """
    if batch < 1:
        raise UserError(f"batch {batch}: must be at least 1")
    pngs = files.targets(images, out)
    svgs = files.targets(images, out, suffix=".svg") if svg else [None] * len(images)
    if svg:
        from sketchprep.io.svg import require

        require()
    if weights is not None and not files.expanded(weights).is_file():
        raise UserError(f"--weights {weights} is no file; name a weight file, or leave it out for the bundled weights")
    params = {"weights": None if weights is None else str(weights)}
    network = stages.load_network("simplify", params, device=device, dtype=dtype, offline=offline)
    tidying = dict(tidy) if isinstance(tidy, Mapping) else {} if tidy else None
    failures = []
    jobs = [_Job(*paths) for paths in zip(images, pngs, svgs, strict=True)]
    for first in range(0, len(jobs), batch):
        some = jobs[first : first + batch]
        for job in some:
            job.attempt(job.read)
        _run(network, some)
        for job in some:
            job.attempt(partial(job.write, tidying))
            if (error := job.error) is not None:
                failures.append(Failure(str(job.image), "file", "simplify", error.kind, error.message, error.rejected))
            job.page = job.result = None
    return failures


def _page(image: np.ndarray) -> tuple[np.ndarray, bool]:
    """Black ink on white paper, and whether there is nothing on it."""
    from sketchprep.sketching.drawing import normalize_drawing

    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise SampleError("too-small", f"{width}x{height} px; the shorter side must have {SMALLEST_SIDE} px")
    drawing = normalize_drawing(image)
    return drawing.page, drawing.blank


def _decided(soft: np.ndarray, tidy: Mapping[str, Any] | None) -> np.ndarray:
    from sketchprep.ops.stroke_cleanup import tidy as decide

    return soft if tidy is None else decide(soft, **tidy)


@dataclass(slots=True)
class _Job:
    """One picture on its way from file to file; what goes wrong ends its own way alone."""

    image: Path
    png: Path
    traced: Path | None
    page: np.ndarray | None = None
    result: np.ndarray | None = None
    blank: bool = False
    error: SampleError | None = None

    def attempt(self, step: Callable[[], None]) -> None:
        if self.error is None:
            try:
                step()
            except SampleError as error:
                self.error = error

    def read(self) -> None:
        from sketchprep.io import images as imageio

        self.page, self.blank = _page(imageio.decode_drawing(files.read(self.image)))
        self.result = self.page if self.blank else None

    def write(self, tidy: Mapping[str, Any] | None) -> None:
        from sketchprep.io import images as imageio

        assert self.result is not None
        result = self.result if self.blank else _decided(self.result, tidy)
        files.write_named(mark(imageio.encode_png(result)), self.png)
        if self.traced is not None:
            from sketchprep.io.svg import trace

            files.write_named(trace(result).encode(), self.traced)


def _run(network: Any, jobs: Sequence[_Job]) -> None:
    """Run the network over the pages that wait for it, those of one size together."""
    import numpy as np

    from sketchprep.nn.simo_serra import sketch_any

    sizes: dict[tuple[int, ...], list[_Job]] = {}
    for job in jobs:
        if job.error is None and job.page is not None and not job.blank:
            sizes.setdefault(job.page.shape, []).append(job)
    for group in sizes.values():
        drawn = sketch_any(network, np.stack([job.page for job in group if job.page is not None]))
        for job, result in zip(group, drawn, strict=True):
            job.result = result
