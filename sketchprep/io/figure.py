"""A figure of curves with the intervals around them: panels in rows, each row on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sketchprep.training.curves import BOTTOM, COLOURS, FRAME, GREY, HEIGHT, LEFT, RIGHT, SCALE, TOP, WIDTH

__all__ = ["LEGEND", "Line", "Panel", "draw"]

PALETTE = [*COLOURS, (140, 86, 75), (227, 119, 194), (188, 189, 34), (23, 190, 207)]
LEGEND = 28  # height of the names above all panels

BAND = 0.18  # of a line's colour in its interval
FINE = 4  # bits of a pixel's fraction that OpenCV draws with
DASH = 6


@dataclass(frozen=True)
class Line:
    """A curve: its places, values, and the ends of their intervals, all of one length; NaN is not drawn."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Curves of one title, over an axis from 0 in some unit, and perhaps a level to compare them with.

    The vertical scale is `span`, or what the panels of a row need.
    """

    title: str
    unit: str
    lines: dict[str, Line]
    level: float | None = None
    level_name: str = ""
    span: tuple[float, float] | None = None


def draw(rows: Sequence[Sequence[Panel]]) -> np.ndarray:
    """Draw panels in rows.

    Parameters
    ----------
    rows : sequence of rows of Panel
        All rows have as many panels; those of a row get one vertical scale.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB.
    """
    panels = np.vstack([np.hstack([_panel(panel, _range(row)) for panel in row]) for row in rows])
    return np.vstack([_legend(rows, panels.shape[1]), panels])


def _legend(rows: Sequence[Sequence[Panel]], width: int) -> np.ndarray:
    """The names of all curves, once for all panels, in the order and colours that these have."""
    picture: np.ndarray = np.full((LEGEND, width, 3), 255, np.uint8)
    at = LEFT
    names = dict.fromkeys(name for row in rows for panel in row for name in panel.lines)
    for name, colour in zip(names, PALETTE * 9, strict=False):
        cv2.line(picture, (at, 14), (at + 14, 14), colour, 2, cv2.LINE_AA)
        at = _name(picture, name, at + 20, colour)
    return picture


def _range(row: Sequence[Panel]) -> tuple[float, float]:
    if row and row[0].span is not None:
        return row[0].span
    values = [v for panel in row for line in panel.lines.values() for v in (line.y, line.low, line.high)]
    values += [np.array([panel.level]) for panel in row if panel.level is not None]
    finite = np.concatenate([np.zeros(0), *values])
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5 * abs(low) - 1e-6, high + 0.5 * abs(high) + 1e-6)


def _panel(panel: Panel, scale: tuple[float, float]) -> np.ndarray:
    picture: np.ndarray = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    right = max([float(line.x.max()) for line in panel.lines.values() if line.x.size] + [1e-9])
    _axes(picture, panel, scale, right)

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        columns = LEFT + x / right * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - scale[0]) / (scale[1] - scale[0]) * (HEIGHT - TOP - BOTTOM)
        return np.rint(np.stack([columns, down], 1) * 2**FINE).astype(np.int32)

    if panel.level is not None:
        _level(picture, int(place(np.zeros(1), np.array([panel.level]))[0, 1]) >> FINE)
    for line, colour in zip(panel.lines.values(), PALETTE * 9, strict=False):
        known = np.isfinite(line.low) & np.isfinite(line.high)
        x = line.x[known]
        band = np.concatenate([place(x, line.low[known]), place(x, line.high[known])[::-1]])
        if len(x) > 1:
            filled = cv2.fillPoly(picture.copy(), [band[:, None]], colour, cv2.LINE_AA, FINE)
            picture = cv2.addWeighted(filled, BAND, picture, 1 - BAND, 0)
    for curve, colour in zip(panel.lines.values(), PALETTE * 9, strict=False):
        known = np.isfinite(curve.y)
        points = place(curve.x[known], curve.y[known])
        cv2.polylines(picture, [points[:, None]], False, colour, 1, cv2.LINE_AA, FINE)
        for column, row in points.tolist():
            cv2.circle(picture, (column, row), 2 << FINE, colour, -1, cv2.LINE_AA, FINE)
    if panel.level is not None:
        _name(picture, panel.level_name, LEFT, GREY, 33)
    return picture


def _axes(picture: np.ndarray, panel: Panel, scale: tuple[float, float], right: float) -> None:
    _text(picture, panel.title, (LEFT, 16), (20, 20, 20), 0.45)
    for share in (0.0, 0.5, 1.0):
        down = round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM))
        cv2.line(picture, (LEFT, down), (WIDTH - RIGHT, down), FRAME, 1)
        _text(picture, f"{scale[0] + share * (scale[1] - scale[0]):.3g}", (4, down + 4), GREY)
        across = round(LEFT + share * (WIDTH - LEFT - RIGHT) - share * 40)
        _text(picture, f"{share * right:.3g}" + (f" {panel.unit}" if share == 1 else ""), (across, HEIGHT - 8), GREY)


def _level(picture: np.ndarray, row: int) -> None:
    for column in range(LEFT, WIDTH - RIGHT, 2 * DASH):
        cv2.line(picture, (column, row), (column + DASH, row), GREY, 1)


def _name(picture: np.ndarray, name: str, at: int, colour: tuple[int, int, int], down: int = 18) -> int:
    _text(picture, name, (at, down), colour)
    return at + 12 + int(cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, SCALE, 1)[0][0])


def _text(
    picture: np.ndarray, words: str, at: tuple[int, int], colour: tuple[int, int, int], scale: float = SCALE
) -> None:
    words = words.replace("×", "x")  # the font has no such sign
    cv2.putText(
        picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA
    )  # fmt: skip
