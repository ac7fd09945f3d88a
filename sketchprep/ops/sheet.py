"""Find the sheet of paper in a picture of it: what lies around it is a desk, a wall, a frame or a scanner's lid."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.ops.resize import resize

__all__ = ["fill_outside", "find_sheet"]

_SIDE = 256  # of the copy that is looked at
_EDGE = 2  # pixels of the copy at the sheet's edge that are taken for surroundings
_SLOPE = 3  # levels of Lab from pixel to pixel by which light and paper vary
_SAME = 14  # levels within which a colour is the paper's
_APART = 24  # levels by which the surroundings differ from the paper
# As shares: the least sheet of the picture, how convex and how straight it is, and how much paper lies outside it.
_LEAST, _CONVEX, _PAPER_OUTSIDE = 0.2, 0.95, 0.1
_NARROWEST = 0.01  # surroundings of a smaller share are looked for as bands along the sides
# Bands along the sides: how deep, how much of a row is dark, and how little of the row behind.
_DEEPEST, _DARK, _LIGHTER, _DARKER_BY = 0.08, 0.9, 0.6, 60


def find_sheet(image: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]] | None:
    """Where the sheet is, if the picture shows more than it.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB, or grey.

    Returns
    -------
    mask : ndarray of bool, shape (H, W)
        True on the sheet, a little inside its edge.
    box : tuple of int
        Its left, top, right and bottom in pixels, the last two beyond it.

    None instead of both where the paper fills the picture.

    Notes
    -----
    The paper is the colour met most often about the middle, followed over slow changes of light.  It is a sheet if it
    is convex, once its ink is closed over, and if hardly any of that colour lies around it: shoulders and hair that
    are drawn black down to the edge of a page leave no convex sheet.  What scanners leave along the sides is narrower
    and is found row by row.
    """
    left, top, right, bottom = _dark_margins(image)
    height, width = image.shape[:2]
    within = slice(top, height - bottom), slice(left, width - right)
    found = _convex_sheet(image[within])
    if found is None and not any((left, top, right, bottom)):
        return None
    mask = np.zeros((height, width), bool)
    mask[within] = True if found is None else found > 0
    x, y, across, down = cv2.boundingRect(mask.view(np.uint8))
    edge = 0 if found is None else _edge(image[within].shape)
    box = (
        max(x - edge, left),
        max(y - edge, top),
        min(x + across + edge, width - right),
        min(y + down + edge, height - bottom),
    )
    return mask, box


def fill_outside(image: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    """The picture with the colour of the nearest paper around the sheet.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W)
    sheet : ndarray of bool, shape (H, W)
    """
    small = _reduced(image)
    inside = cv2.erode(resize(sheet.astype(np.uint8), small.shape[1::-1]), np.ones((3, 3), np.uint8), borderValue=1)
    paper = cv2.medianBlur(small, 5)
    _, labels = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.zeros((int(labels.max()) + 1, *small.shape[2:]), np.uint8)
    colours[labels[inside > 0]] = paper[inside > 0]
    around = cv2.resize(colours[labels], image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(sheet if image.ndim == 2 else sheet[..., None], image, around)


def _edge(shape: tuple[int, ...]) -> int:
    """By how many pixels the mask of a sheet keeps away from the sheet's edge."""
    return round(_EDGE * max(1.0, max(shape[:2]) / _SIDE))


def _reduced(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    return resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))


def _convex_sheet(image: np.ndarray) -> np.ndarray | None:
    """Mask of the sheet's convex hull, a little inside its edge: uint8, (H, W)."""
    small = _reduced(image)
    colour = np.repeat(small[..., None], 3, 2) if small.ndim == 2 else small
    lab = cv2.medianBlur(cv2.cvtColor(colour, cv2.COLOR_RGB2LAB), 5)
    height, width = lab.shape[:2]
    paper = _paper_mask(lab)
    side = max(height, width) // 16 | 1
    bridged = cv2.morphologyEx(
        cv2.copyMakeBorder(paper, side, side, side, side, cv2.BORDER_REPLICATE), cv2.MORPH_CLOSE, np.ones((side, side))
    )[side:-side, side:-side]
    outlines, _ = cv2.findContours(np.ascontiguousarray(bridged), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    hull = cv2.convexHull(outline)
    area, filled = np.zeros_like(paper), np.zeros_like(paper)
    cv2.fillConvexPoly(area, hull, 1)
    cv2.drawContours(filled, [outline], 0, 1, -1)
    if area.mean() < _LEAST or area.mean() > 1 - _NARROWEST or filled.sum() < _CONVEX * area.sum():
        return None
    outside = cv2.dilate(area, np.ones((3, 3), np.uint8)) == 0
    if not outside.any() or paper[outside].mean() > _PAPER_OUTSIDE:
        return None
    difference = np.abs(lab[outside].astype(np.int16) - np.median(lab[paper > 0], axis=0)).max(axis=1)
    if np.median(difference) < _APART:
        return None
    area = cv2.erode(area, np.ones((2 * _EDGE + 1,) * 2, np.uint8), borderValue=1)
    return cv2.resize(area, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _paper_mask(lab: np.ndarray) -> np.ndarray:
    """All that is joined to the commonest colour of the middle by slow changes: uint8, (h, w)."""
    height, width = lab.shape[:2]
    middle = lab[height // 8 : height - height // 8, width // 8 : width - width // 8].reshape(-1, 3)
    bins, counts = np.unique(middle >> 4, axis=0, return_counts=True)
    commonest = middle[(middle >> 4 == bins[counts.argmax()]).all(axis=1)].mean(axis=0)
    seeds = np.abs(lab - commonest).max(axis=2) < _SAME
    mask = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    for y, x in np.argwhere(seeds[::8, ::8]) * 8:
        if not mask[y + 1, x + 1]:
            cv2.floodFill(lab, mask, (int(x), int(y)), 0, (_SLOPE,) * 3, (_SLOPE,) * 3, flags)
    return np.ascontiguousarray(mask[1:-1, 1:-1])


def _dark_margins(image: np.ndarray) -> tuple[int, int, int, int]:
    """Depth in pixels of bands along left, top, right and bottom that differ from the paper all along the side."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    paper = int(np.median(grey[:: max(1, len(grey) // _SIDE), :: max(1, grey.shape[1] // _SIDE)]))
    apart = cv2.absdiff(grey, np.full_like(grey, paper)) > _DARKER_BY
    depths = []
    for sides in (apart.T, apart, apart.T[::-1], apart[::-1]):
        share = sides[: max(3, round(_DEEPEST * len(sides)))].mean(axis=1)
        depth = int(np.argmax(share < _DARK)) if (share < _DARK).any() else len(share)
        sharp = 0 < depth < len(share) and share[min(depth + 1, len(share) - 1)] < _LIGHTER
        depths.append(depth + 1 if sharp else 0)
    left, top, right, bottom = depths
    return left, top, right, bottom
