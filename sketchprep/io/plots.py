"""Line plots in panels, with intervals as bands, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["HEIGHT", "WIDTH", "Line", "Panel", "draw", "figure", "require"]

WIDTH, HEIGHT = 420, 260  # of a panel in pixels
DPI = 100
LEGEND = 28  # pixels above all panels
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 26, 40  # pixels of a panel around its axes
BAND = 0.18  # opacity of an interval


@dataclass(frozen=True)
class Line:
    """A curve and the ends of its intervals, if any, all of one length; what is not finite is left out."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True)
class Panel:
    """Curves under one title, with an optional horizontal line to compare them with.

    The vertical axis covers `span`, or else what is drawn.
    """

    title: str
    unit: str
    lines: dict[str, Line]
    level: float | None = None
    level_name: str = ""
    span: tuple[float, float] | None = None


def require() -> None:
    """Raise UserError unless matplotlib is installed; to be called before long work that ends in a plot."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("plots need matplotlib; install it with pip install 'sketchprep[train]'") from None


def draw(rows: Sequence[Sequence[Panel]], *, columns: int | None = None, shared: bool = False) -> np.ndarray:
    """Draw panels in rows as a picture.

    Parameters
    ----------
    rows : sequence of rows of Panel
    columns : int, optional
        Panels that a row has room for; default as many as the first has.
    shared : bool
        One vertical scale for the panels of a row, and one legend above all panels instead of one in each.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB.

    Raises
    ------
    UserError
        If matplotlib is not installed.
    """
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure(rows, columns=columns, shared=shared))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure(rows: Sequence[Sequence[Panel]], *, columns: int | None = None, shared: bool = False) -> Figure:
    """The plots of `draw` as a matplotlib figure."""
    from matplotlib.figure import Figure

    columns = columns or len(rows[0])
    width, height = columns * WIDTH, len(rows) * HEIGHT + (LEGEND if shared else 0)
    result = Figure((width / DPI, height / DPI), DPI)
    # Fixed margins: matplotlib's constrained layout takes as long as all the drawing.
    margins = {
        "left": LEFT / width,
        "right": 1 - RIGHT / width,
        "bottom": BOTTOM / height,
        "top": (len(rows) * HEIGHT - TOP) / height,
        "wspace": (LEFT + RIGHT) / (WIDTH - LEFT - RIGHT),
        "hspace": (TOP + BOTTOM) / (HEIGHT - TOP - BOTTOM),
    }
    sharey: Literal["row", "none"] = "row" if shared else "none"
    grid: Any = result.subplots(len(rows), columns, sharey=sharey, squeeze=False, gridspec_kw=margins)
    names = dict.fromkeys(name for row in rows for panel in row for name in panel.lines)
    colours = {name: f"C{number % 10}" for number, name in enumerate(names)}
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, panel in zip(axes_row, row, strict=False):
            _plot(axes, panel, colours if shared else {n: f"C{i % 10}" for i, n in enumerate(panel.lines)})
            if not shared and any(panel.lines):
                axes.legend(fontsize=7, frameon=False)
        for axes in axes_row[len(row) :]:
            axes.axis("off")
    if shared:
        labels = [pair for axes in grid.flat for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
        handles = {name: handle for handle, name in labels}
        columns = max(1, len(handles))
        result.legend(handles.values(), handles, loc="upper left", ncols=columns, fontsize=8, frameon=False)
    return result


def _plot(axes: Axes, panel: Panel, colours: dict[str, str]) -> None:
    for name, line in panel.lines.items():
        known = np.isfinite(line.y)
        axes.plot(line.x[known], line.y[known], color=colours[name], label=name, linewidth=1, marker=_marker(known))
        if line.low is not None and line.high is not None:
            known = np.isfinite(line.low) & np.isfinite(line.high)
            axes.fill_between(
                line.x[known], line.low[known], line.high[known], color=colours[name], alpha=BAND, linewidth=0
            )
    if panel.level is not None:
        axes.axhline(panel.level, color="0.2", linewidth=1, linestyle=(0, (4, 4)), label=panel.level_name)
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_xlabel(panel.unit, fontsize=8, loc="right")
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.set_xlim(left=0)
    if panel.span is not None:
        axes.set_ylim(*panel.span)


def _marker(points: np.ndarray) -> str:
    """A dot at each point while they can be told apart."""
    return "." if len(points) <= WIDTH // 20 else ""
