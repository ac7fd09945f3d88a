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
# Before tidying, finer lines are enlarged to the breadth that the network draws, so that they neither thicken nor run
# into each other; so many times at most, and to so many pixels of the longer side.
_NETWORK_LINE, _LARGEST_SCALE, _LARGEST_SIDE = 3.0, 3.0, 2048
# What is shorter is no stroke: in breadths of a line, and in longer sides of the drawing.
_SHORTEST, _SHORTEST_SHARE = 2.5, 0.02


def simplify_files(
    images: Sequence[Path],
    out: Path,
    *,
    weights: Path | str | None = None,
    tidy: bool | Mapping[str, Any] = False,
    svg: bool = False,
    strokes: bool = False,
    batch: int = 1,
    device: str = "auto",
    dtype: str = "auto",
    offline: bool = False,
) -> list[Failure]:
    """Simplify drawings or photocopies of any size and kind; write ``NAME.png``, and SVG if wanted.

    Parameters
    ----------
    images : sequence of Path
        Picture files: black on white, white on black, on toned or unevenly lit paper.
    out : Path
        Folder for the results; two inputs of one name are refused before anything is written.
    weights : Path or str, optional
        Safetensors of the project's own network, or converted weights of Simo-Serra's; default: the bundled ones.
    tidy : bool or mapping
        Turn the soft result into decided strokes about as broad as the drawing's, see
        `sketchprep.ops.stroke_cleanup.tidy`; a mapping gives its parameters, in pixels of the drawing.  What counts as
        too short follows from the breadth of the lines and the size of the drawing.
    svg : bool
        Trace the outlines of the result's ink too; needs vtracer.
    strokes : bool
        Write the result's middle lines too, as ``NAME.strokes.svg``.
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
    lines = files.targets(images, out, suffix=".strokes.svg") if strokes else [None] * len(images)
    if svg:
        from sketchprep.io.svg import require

        require()
    if weights is not None and not files.expanded(weights).is_file():
        raise UserError(f"--weights {weights} is no file; name a weight file, or leave it out for the bundled weights")
    params = {"weights": None if weights is None else str(weights)}
    network = stages.load_network("simplify", params, device=device, dtype=dtype, offline=offline)
    tidying = dict(tidy) if isinstance(tidy, Mapping) else {} if tidy else None
    failures = []
    jobs = [_Job(*paths) for paths in zip(images, pngs, svgs, lines, strict=True)]
    for first in range(0, len(jobs), batch):
        some = jobs[first : first + batch]
        for job in some:
            job.attempt(partial(job.read, fine=tidying is not None))
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


def _scale(page: np.ndarray) -> float:
    """How many times a page is enlarged so that its lines are as broad as the network's."""
    from sketchprep.ops.ink import line_width

    wanted = _NETWORK_LINE / max(line_width(page), 1e-6)
    return max(1.0, min(wanted, _LARGEST_SCALE, _LARGEST_SIDE / max(page.shape)))


def _decided(soft: np.ndarray, tidy: Mapping[str, Any], scale: float, shortest: float) -> np.ndarray:
    from sketchprep.ops.stroke_cleanup import tidy as decide

    lengths = {"min_length": shortest, **{n: v * scale for n, v in tidy.items() if n in ("width", "min_length") and v}}
    return decide(soft, **{**tidy, **lengths})


@dataclass(slots=True)
class _Job:
    """One picture on its way from file to file; what goes wrong ends its own way alone."""

    image: Path
    png: Path
    traced: Path | None
    strokes: Path | None
    page: np.ndarray | None = None
    result: np.ndarray | None = None
    blank: bool = False
    shape: tuple[int, int] = (0, 0)
    scale: float = 1.0
    shortest: float = 0.0
    error: SampleError | None = None

    def attempt(self, step: Callable[[], None]) -> None:
        if self.error is None:
            try:
                step()
            except SampleError as error:
                self.error = error

    def read(self, *, fine: bool) -> None:
        from sketchprep.io import images as imageio

        self.page, self.blank = _page(imageio.decode_drawing(files.read(self.image)))
        self.result = self.page if self.blank else None
        if fine and not self.blank:
            self._enlarge(self.page)

    def _enlarge(self, page: np.ndarray) -> None:
        """Get ready for tidying: fine lines as broad as the network draws, and the length of the shortest stroke."""
        from sketchprep.ops.ink import ink_box, line_width
        from sketchprep.ops.resize import resize

        height, width = page.shape
        self.shape, self.scale = (height, width), _scale(page)
        if self.scale > 1:
            self.page = page = resize(page, (round(width * self.scale), round(height * self.scale)))
        left, top, right, bottom = ink_box(page)
        self.shortest = min(_SHORTEST * line_width(page), _SHORTEST_SHARE * max(right - left, bottom - top))

    def write(self, tidy: Mapping[str, Any] | None) -> None:
        from sketchprep.io import images as imageio
        from sketchprep.ops.resize import resize

        assert self.result is not None
        result = self.result
        if tidy is not None and not self.blank:
            result = resize(_decided(result, tidy, self.scale, self.shortest), self.shape[::-1])
        files.write_named(mark(imageio.encode_png(result)), self.png)
        if self.traced is not None:
            from sketchprep.io.svg import trace

            files.write_named(trace(result).encode(), self.traced)
        if self.strokes is not None:
            from sketchprep.io.stroke_svg import trace_strokes

            files.write_named(trace_strokes(result).encode(), self.strokes)


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
