"""Drawings as strokes: traced from a mask, smoothed, and drawn again with a pen of one width."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

__all__ = ["Stroke", "cut", "inside", "lengths", "render", "smooth", "trace", "transform"]

Stroke = np.ndarray
"""Points (x, y) of one stroke in pixels, (N, 2) float32, N at least 2; pixel centres lie at whole numbers."""

_SHIFT = 4
_NEIGHBOURS = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def render(
    strokes: Sequence[Stroke], shape: tuple[int, int], *, width: float | Sequence[float] = 2.0, fine: int = 4
) -> np.ndarray:
    """Draw strokes with a round pen.

    Parameters
    ----------
    strokes : sequence of ndarray, (N, 2) float
        Points may lie outside the picture.
    shape : tuple of int
        H, W of the picture.
    width : float or one for each stroke
        Width of the pen in pixels.
    fine : int
        The canvas is drawn that many times as large and averaged down.

    Returns
    -------
    ndarray, (H, W) uint8
        Coverage: 255 inside the lines, 0 on the paper.
    """
    canvas = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    widths = [float(width)] * len(strokes) if isinstance(width, int | float) else list(width)
    batches: dict[int, list[np.ndarray]] = {}
    for stroke, pen in zip(strokes, widths, strict=True):
        points = np.rint(((np.clip(stroke, -4096, 8192) + 0.5) * fine - 0.5) * (1 << _SHIFT)).astype(np.int32)
        batches.setdefault(max(1, round(pen * fine)), []).append(points.reshape(-1, 1, 2))
    for thickness, points_list in batches.items():
        cv2.polylines(canvas, points_list, False, 255, thickness, cv2.LINE_8, _SHIFT)
    return cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA) if fine > 1 else canvas


def transform(strokes: Sequence[Stroke], matrix: np.ndarray) -> list[Stroke]:
    """Strokes mapped through a 2x3 affine matrix."""
    matrix = np.asarray(matrix, np.float32)
    return [stroke @ matrix[:, :2].T + matrix[:, 2] for stroke in strokes]


def lengths(strokes: Sequence[Stroke]) -> np.ndarray:
    """Length of each stroke in pixels, (N,) float64."""
    return np.array([np.hypot(*np.diff(s, axis=0).T).sum() for s in strokes], np.float64)


def cut(strokes: Sequence[Stroke], mask: np.ndarray) -> list[Stroke]:
    """What of the strokes lies outside a mask, (H, W) bool; leftovers of a single point go."""
    height, width = mask.shape
    left = []
    for stroke in strokes:
        x, y = np.rint(stroke).astype(int).T
        known = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        hidden = np.zeros(len(stroke), bool)
        hidden[known] = mask[y[known], x[known]]
        if not hidden.any():
            left.append(stroke)
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], ~hidden, [0]]).astype(int)))
        left += [stroke[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]
    return left


def inside(polygon: np.ndarray, shape: tuple[int, ...], *, margin: float = 0.0) -> np.ndarray:
    """Mask, (H, W) bool, of a polygon widened by a margin in pixels."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(np.clip(polygon, -8192, 8192)).astype(np.int32)], 1)
    if margin > 0:
        side = 2 * round(margin) + 1
        return np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))) > 0
    return mask > 0


def smooth(stroke: Stroke, *, sigma: float = 2.0, step: float = 2.0) -> Stroke:
    """A stroke with its coordinates averaged along its length; its ends stay, and so does a closed shape.

    Parameters
    ----------
    stroke : ndarray, (N, 2) float
    sigma : float
        Standard deviation in pixels of the average; it narrows towards free ends.
    step : float
        Distance in pixels between the points of the result.

    Returns
    -------
    ndarray, (M, 2) float32
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    total = along[-1]
    if total < 1e-3 or len(stroke) < 3:
        return stroke.astype(np.float32)
    at = np.linspace(0, total, max(3, int(np.ceil(total)) + 1))
    points = np.stack([np.interp(at, along, stroke[:, i]) for i in (0, 1)], 1)
    reach = int(np.ceil(3 * sigma))
    if np.hypot(*(points[0] - points[-1])) < 1e-3 and len(points) > 2 * reach + 2:
        padded = np.concatenate([points[-reach - 1 : -1], points, points[1 : reach + 1]])
    else:
        # Point reflection keeps both ends where they are.
        ends = min(reach, len(points) - 1)
        head, tail = 2 * points[0] - points[ends:0:-1], 2 * points[-1] - points[-2 : -ends - 2 : -1]
        reach = ends
        padded = np.concatenate([head, points, tail])
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    result = np.stack([np.convolve(padded[:, i], kernel, mode="valid") for i in (0, 1)], 1)
    keep = np.unique(np.linspace(0, len(result) - 1, max(3, int(total / step) + 1)).round().astype(int))
    return result[keep].astype(np.float32)


def trace(
    mask: np.ndarray, *, gap: float = 0.0, spur: float = 5.0, sigma: float = 1.5, bend: float = 50.0
) -> list[Stroke]:
    """Strokes along the middle of the lines of a mask.

    Parameters
    ----------
    mask : ndarray, (H, W) bool
    gap : float
        Ends that face each other across at most that many pixels are joined.
    spur : float
        Shorter branches with a free end are cut off.
    sigma : float
        Smoothing in pixels along each stroke, see :func:`smooth`.
    bend : float
        Two branches of a crossing become one stroke where the turn between them is below this many degrees.

    Returns
    -------
    list of ndarray, (N, 2) float32
        Strokes run through crossings as straight as they can.
    """
    from skimage.morphology import skeletonize

    skeleton = skeletonize(mask)
    segments, ends = _segments(skeleton, spur)
    if not segments:
        return []
    partner = _join_at_crossings(segments, ends, bend)
    if gap > 0:
        _join_gaps(segments, ends, partner, gap)
    chains = _chains(segments, partner)
    return [smooth(chain, sigma=sigma) for chain in chains if len(chain) > 1]


def _segments(skeleton: np.ndarray, spur: float) -> tuple[list[np.ndarray], list[list[int]]]:
    """Simple paths between crossings, and the crossing at each of their two ends (0 for a free end)."""
    skeleton = np.pad(skeleton, 1)
    for last in (False, True):
        plane = skeleton.astype(np.uint8)
        around = cv2.filter2D(plane, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT) - plane
        crossing = (skeleton & (around >= 3)).astype(np.uint8)
        _, nodes, _, centres = cv2.connectedComponentsWithStats(crossing, connectivity=8)
        paths, ends = [], []
        for path in _paths(skeleton & (crossing == 0)):
            at = [_node_beside(nodes, path[0]), _node_beside(nodes, path[-1])]
            free = at.count(0)
            if free == 1 and len(path) < spur:
                skeleton[tuple(np.array(path).T)] = False
                continue
            if free == 2 and at == [0, 0] and len(path) > 8 and max(np.abs(np.subtract(path[0], path[-1]))) <= 1:
                path = [*path, path[0]]
            paths.append(np.array(path, np.float64)[:, ::-1] - 1.0)
            ends.append(at)
        if last:
            break
    for path_index, at in enumerate(ends):
        head = [centres[at[0]] - 1.0] if at[0] else []
        tail = [centres[at[1]] - 1.0] if at[1] else []
        paths[path_index] = np.concatenate([np.reshape(head, (-1, 2)), paths[path_index], np.reshape(tail, (-1, 2))])
    return paths, ends


def _paths(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Pixels of each simple path of a mask without crossings, in order."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    result = []
    while left:
        start = left.pop()
        path = [start]
        for side in (1, -1):
            y, x = start
            run: list[tuple[int, int]] = []
            while True:
                for dy, dx in _NEIGHBOURS:
                    if (y + dy, x + dx) in left:
                        y, x = y + dy, x + dx
                        left.remove((y, x))
                        run.append((y, x))
                        break
                else:
                    break
            path = path + run if side == 1 else run[::-1] + path
        result.append(path)
    return result


def _node_beside(nodes: np.ndarray, pixel: tuple[int, int]) -> int:
    y, x = pixel
    return int(nodes[y - 1 : y + 2, x - 1 : x + 2].max())


def _direction(segment: np.ndarray, end: int) -> np.ndarray:
    """Unit vector out of a segment at its end (0 or 1), measured over some ten pixels."""
    path = segment if end else segment[::-1]
    vector = path[-1] - path[max(0, len(path) - 10)]
    return vector / max(float(np.hypot(*vector)), 1e-6)


def _join_at_crossings(
    segments: list[np.ndarray], ends: list[list[int]], bend: float
) -> dict[tuple[int, int], tuple[int, int]]:
    partner: dict[tuple[int, int], tuple[int, int]] = {}
    meeting: dict[int, list[tuple[int, int]]] = {}
    for i, at in enumerate(ends):
        for end in (0, 1):
            if at[end]:
                meeting.setdefault(at[end], []).append((i, end))
    for arms in meeting.values():
        out = [_direction(segments[i], end) for i, end in arms]
        pairs = [(float(out[a] @ out[b]), a, b) for a in range(len(arms)) for b in range(a)]
        for cosine, a, b in sorted(pairs):
            straight = cosine < -np.cos(np.radians(bend)) or len(arms) == 2
            if straight and arms[a] not in partner and arms[b] not in partner and arms[a][0] != arms[b][0]:
                partner[arms[a]], partner[arms[b]] = arms[b], arms[a]
    return partner


def _join_gaps(
    segments: list[np.ndarray], ends: list[list[int]], partner: dict[tuple[int, int], tuple[int, int]], gap: float
) -> None:
    """Join free ends that point at each other across a small distance, the nearest and straightest first."""
    free = [(i, e) for i, at in enumerate(ends) for e in (0, 1) if not at[e]]
    if len(free) < 2:
        return
    tips = np.array([segments[i][-e] for i, e in free])
    out = np.array([_direction(segments[i], e) for i, e in free])
    across = tips[None] - tips[:, None]
    distance = np.hypot(across[..., 0], across[..., 1])
    a, b = np.nonzero(np.triu(distance <= gap, 1))
    unit = across[a, b] / np.maximum(distance[a, b], 1e-6)[:, None]
    near = distance[a, b] < 2.5
    facing = np.minimum((out[a] * unit).sum(1), -(out[b] * unit).sum(1))
    fit = np.where(near, 1.0, facing) - 0.04 * distance[a, b]
    good = (np.where(near, 1.0, facing) > 0.7) & ((out[a] * out[b]).sum(1) < -0.3)
    for k in np.argsort(-fit, kind="stable"):
        one, other = free[a[k]], free[b[k]]
        if good[k] and one[0] != other[0] and one not in partner and other not in partner:
            partner[one], partner[other] = other, one


def _chains(segments: list[np.ndarray], partner: dict[tuple[int, int], tuple[int, int]]) -> list[np.ndarray]:
    done: set[int] = set()
    chains = []
    starts = [(i, e) for i in range(len(segments)) for e in (0, 1) if (i, e) not in partner]
    for i, end in [*starts, *((i, 0) for i in range(len(segments)))]:
        if i in done:
            continue
        pieces, here = [], (i, end)
        while here[0] not in done:
            done.add(here[0])
            pieces.append(segments[here[0]][:: -1 if here[1] else 1])
            following = partner.get((here[0], 1 - here[1]))
            if following is None:
                break
            here = following
        chains.append(np.concatenate(pieces))
    return chains
