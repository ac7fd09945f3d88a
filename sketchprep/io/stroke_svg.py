"""Sketches as SVG strokes: the middle line of each stroke with its breadth, to be edited or plotted."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.errors import SampleError

__all__ = ["trace_strokes"]

_MOST_STROKES = 20_000
_SHORTEST = 3  # pixels of a line; what a junction leaves is shorter
_STEPS = 3  # pixels to either side that even out the steps of a line
_TOLERANCE = 0.4  # pixels by which a curve's corners may leave the middle line
# Straight on before round the corner: (row, column) steps to the eight neighbours.
_AROUND = ((-1, 0), (0, 1), (1, 0), (0, -1), (-1, -1), (-1, 1), (1, 1), (1, -1))


def trace_strokes(sketch: np.ndarray, *, threshold: int = 128) -> str:
    """Follow the middle lines of a sketch.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (H, W)
        Black ink on white.
    threshold : int
        Darker pixels are ink; 1 to 255.

    Returns
    -------
    str
        An SVG document of the sketch's width and height: open black paths, each with the mean breadth of its stroke,
        over a white ground.

    Raises
    ------
    SampleError
        Of kind ``"too-many-strokes"`` above 20,000 of them: noise rather than a drawing.

    Notes
    -----
    The ink is thinned (Zhang and Suen 1984), its lines are walked from their ends, straight on where they cross,
    reduced by Douglas and Peucker's method and drawn as cubic Béziers along the chords.
    """
    from skimage.morphology import skeletonize

    height, width = sketch.shape
    ink = np.pad(sketch < threshold, 1)
    depth = cv2.distanceTransform(ink.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    middle = skeletonize(ink)
    paths = [_path(line, depth) for line in _lines(middle)]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        '<g fill="none" stroke="#000000" stroke-linecap="round" stroke-linejoin="round">\n'
        + "".join(f"{path}\n" for path in paths)
        + "</g>\n</svg>\n"
    )


def _lines(middle: np.ndarray) -> list[np.ndarray]:
    """Lines of a skeleton, which is used up: (row, column) of their pixels, from ends first, then closed ones."""
    rows, columns = np.nonzero(middle)
    counts = cv2.filter2D(middle.astype(np.uint8), -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    order = np.argsort(counts[rows, columns] > 2, kind="stable")  # an end has one neighbour beside itself
    lines: list[np.ndarray] = []
    drawn = np.zeros_like(middle)
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if middle[row, column]:
            forth, back = _walk(middle, row, column), _walk(middle, row, column)
            line = back[:0:-1] + forth
            if len(line) < _SHORTEST and any(drawn[y - 1 : y + 2, x - 1 : x + 2].any() for y, x in line):
                continue  # what thinning left of a junction
            lines.append(np.array(line))
            drawn[lines[-1][:, 0], lines[-1][:, 1]] = True
            if len(lines) > _MOST_STROKES:
                raise SampleError("too-many-strokes", f"over {_MOST_STROKES:,} strokes; tidy the drawing first")
    return lines


def _walk(middle: np.ndarray, row: int, column: int) -> list[tuple[int, int]]:
    """Pixels of a line from one of them on, straight ahead where it forks; they are taken away."""
    line, heading = [(row, column)], (0, 0)
    middle[row, column] = False
    while True:
        steps = [step for step in _AROUND if middle[row + step[0], column + step[1]]]
        if not steps:
            return line
        heading = max(steps, key=lambda step: step[0] * heading[0] + step[1] * heading[1])
        row, column = row + heading[0], column + heading[1]
        middle[row, column] = False
        line.append((row, column))


def _smooth(xy: np.ndarray) -> np.ndarray:
    """Pixels of a line without their steps; its ends stay."""
    reach = min(_STEPS, (len(xy) - 1) // 2)
    if reach == 0:
        return xy
    padded = np.concatenate([2 * xy[0] - xy[reach:0:-1], xy, 2 * xy[-1] - xy[-2 : -reach - 2 : -1]])
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    return (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)


def _path(line: np.ndarray, depth: np.ndarray) -> str:
    """An SVG path along the pixels of a padded picture."""
    breadth = max(2 * float(depth[line[:, 0], line[:, 1]].mean()) - 0.5, 0.8)
    xy = _smooth(line[:, ::-1] - 0.5)  # the padding off, pixel centres at halves
    points = cv2.approxPolyDP(xy.astype(np.float32), _TOLERANCE, False)[:, 0]
    start = f"M{points[0, 0]:.1f} {points[0, 1]:.1f}"
    if len(points) == 1:
        return f'<path d="{start}h0" stroke-width="{breadth:.1f}"/>'
    ahead = np.diff(points, axis=0)
    third = np.linalg.norm(ahead, axis=1, keepdims=True) / 3
    along = np.concatenate([ahead[:1], points[2:] - points[:-2], ahead[-1:]])
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    corners = np.hstack([points[:-1] + third * along[:-1], points[1:] - third * along[1:], points[1:]])
    curves = ["C" + " ".join(f"{value:.1f}" for value in corner) for corner in corners]
    return f'<path d="{start}{"".join(curves)}" stroke-width="{breadth:.1f}"/>'
