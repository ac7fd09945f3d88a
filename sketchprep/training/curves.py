"""Plots of runs' statistics: one panel a loss or score, one line a phase or part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sketchprep.io import images, plots
from sketchprep.io.files import atomic
from sketchprep.io.plots import Line, Panel
from sketchprep.training.logs import read_stats
from sketchprep.training.run_dir import disk_errors

__all__ = ["FILE", "read", "write"]

FILE = "curves.png"
COLUMNS = 3
#: Mean values of so many stretches of a run: more are not seen in a panel of a few hundred pixels.
POINTS = 160

Series = dict[str, tuple[list[float], list[float]]]


def read(path: Path) -> dict[str, Series]:
    """Read ``stats.jsonl`` as title to line to (images, values); lines that were cut off are skipped."""
    panels: dict[str, Series] = {}
    for values in read_stats(path):
        for key, value in values.items():
            if "." not in key:  # no loss and no score
                continue
            first, *rest = key.split(".")
            title, name = (f"held-out {rest[0]}", ".".join(rest[1:])) if first == "score" else (".".join(rest), first)
            xs, ys = panels.setdefault(title, {}).setdefault(name, ([], []))
            xs.append(float(values["images"]))
            ys.append(float(value))
    return _without_repeats(panels)


def _without_repeats(panels: dict[str, Series]) -> dict[str, Series]:
    """Leave out a total that is the only loss there is."""
    total = panels.get("total")
    if total is not None and any(panel == total for title, panel in panels.items() if title != "total"):
        return {title: panel for title, panel in panels.items() if title != "total"}
    return panels


def write(folder: Path, runs: Mapping[str, Path]) -> bool:
    """Write ``curves.png`` of some runs to a folder; False if there is nothing to plot yet.

    Parameters
    ----------
    folder : Path
    runs : mapping of str to Path
        ``stats.jsonl`` by the run's name.

    Raises
    ------
    UserError
        If it cannot be written, or matplotlib is not installed.
    """
    rows = []
    for name, path in runs.items():
        panels = [_panel(f"{name}: {title}", series) for title, series in sorted(read(path).items())]
        rows += [panels[first : first + COLUMNS] for first in range(0, len(panels), COLUMNS)]
    if not rows:
        return False
    picture = plots.draw(rows, columns=COLUMNS)
    with disk_errors(folder), atomic(folder / FILE) as temporary:
        temporary.write_bytes(images.encode_png(picture, level=6))
    return True


def _panel(title: str, series: Series) -> Panel:
    lines = {name: _thinned(xs, ys) for name, (xs, ys) in series.items()}
    values = np.concatenate([line.y for line in lines.values()])
    # A few wild values at the start must not flatten the rest.
    low, high = float(values.min()), float(np.percentile(values, 98) if len(values) > 20 else values.max())
    margin = 0.05 * (high - low) or 0.5 * abs(low) + 1e-6
    return Panel(title, "images", lines, span=(low - margin, high + margin))


def _thinned(xs: list[float], ys: list[float]) -> Line:
    groups = np.array_split(np.arange(len(xs)), min(POINTS, len(xs)))
    x, y = np.array(xs), np.array(ys)
    return Line(np.array([x[g].mean() for g in groups]), np.array([y[g].mean() for g in groups]))
