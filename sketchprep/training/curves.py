"""A picture of a run's statistics: one panel a loss or score, one line a phase or part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

__all__ = ["draw", "read"]

WIDTH, HEIGHT, COLUMNS = 420, 260, 3
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 44, 28
COLOURS = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (110, 110, 110))
GREY, FRAME, SCALE = (70, 70, 70), (215, 215, 215), 0.4
OTHER = {"images", "lr", "images_per_second", "seconds_waiting", "peak_memory"}
# Lines of a statistics file may be many; a panel is a few hundred pixels wide.
POINTS = 160

Panel = dict[str, tuple[list[float], list[float]]]


def read(path: Path) -> dict[str, Panel]:
    """Read ``stats.jsonl`` as panels: title to line to (images, values); lines that are cut off are left out."""
    panels: dict[str, Panel] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            values = json.loads(line)
            images = float(values["images"])
        except (ValueError, KeyError, TypeError):
            continue
        for key, value in values.items():
            if key in OTHER or "." not in key:
                continue
            first, *rest = key.split(".")
            title, name = (f"held-out {rest[0]}", ".".join(rest[1:])) if first == "score" else (".".join(rest), first)
            xs, ys = panels.setdefault(title, {}).setdefault(name, ([], []))
            xs.append(images)
            ys.append(float(value))
    return _without_repeats(panels)


def _without_repeats(panels: dict[str, Panel]) -> dict[str, Panel]:
    """Leave out a total that is the only loss there is."""
    total = panels.get("total")
    if total is not None and any(panel == total for title, panel in panels.items() if title != "total"):
        return {title: panel for title, panel in panels.items() if title != "total"}
    return panels


def draw(files: Mapping[str, Path]) -> np.ndarray | None:
    """Draw the statistics of some runs below one another.

    Parameters
    ----------
    files : mapping of str to Path
        ``stats.jsonl`` by the run's name.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3), or None
        RGB; None if there is nothing to draw.
    """
    bands = []
    for name, path in files.items():
        panels = [_panel(f"{name}: {title}", panel) for title, panel in sorted(read(path).items())]
        blank = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        for first in range(0, len(panels), COLUMNS):
            row = panels[first : first + COLUMNS]
            bands.append(np.hstack([*row, *[blank] * (COLUMNS - len(row))]))
    return np.vstack(bands) if bands else None


def _panel(title: str, lines: Panel) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    thin = {name: _thinned(*line) for name, line in lines.items()}
    ys = np.concatenate([y for _, y in thin.values()])
    right = max(float(x[-1]) for x, _ in thin.values())
    # A few wild values at the start must not flatten the rest.
    low, high = float(ys.min()), float(np.percentile(ys, 98)) if len(ys) > 20 else float(ys.max())
    low, high = (low, high) if high > low else (low - 0.5 * abs(low) - 1e-6, low + 0.5 * abs(low) + 1e-6)
    _text(picture, title, (LEFT, 16), (20, 20, 20), 0.45)
    for share in (0.0, 0.5, 1.0):
        down = round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM))
        cv2.line(picture, (LEFT, down), (WIDTH - RIGHT, down), FRAME, 1)
        _text(picture, f"{low + share * (high - low):.3g}", (4, down + 4), GREY)
        across = round(LEFT + share * (WIDTH - LEFT - RIGHT) - share * 32)
        _text(picture, _count(share * right), (across, HEIGHT - 8), GREY)
    at = LEFT
    for (name, (x, y)), colour in zip(thin.items(), COLOURS * 9, strict=False):
        columns = LEFT + x / max(right, 1.0) * (WIDTH - LEFT - RIGHT)
        rows = HEIGHT - BOTTOM - np.clip((y - low) / (high - low), 0, 1.04) * (HEIGHT - TOP - BOTTOM)
        points = np.rint(np.stack([columns, rows], 1) * 16).astype(np.int32)
        cv2.polylines(picture, [points[:, None]], False, colour, 1, cv2.LINE_AA, 4)
        if len(points) == 1:
            cv2.circle(picture, (round(columns[0]), round(rows[0])), 2, colour, -1, cv2.LINE_AA)
        _text(picture, name, (at, 33), colour)
        at += 12 + cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, SCALE, 1)[0][0]
    return picture


def _thinned(xs: list[float], ys: list[float]) -> tuple[np.ndarray, np.ndarray]:
    groups = np.array_split(np.arange(len(xs)), min(POINTS, len(xs)))
    x, y = np.array(xs), np.array(ys)
    return np.array([x[g].mean() for g in groups]), np.array([y[g].mean() for g in groups])


def _text(
    picture: np.ndarray, words: str, at: tuple[int, int], colour: tuple[int, int, int], scale: float = SCALE
) -> None:
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)


def _count(images: float) -> str:
    return f"{images / 1e6:.3g}M" if images >= 1e6 else f"{images / 1e3:.3g}k" if images >= 1e3 else f"{images:.0f}"
