"""Drawings on papers of all sorts, as scanners, cameras and drawing programs deliver them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

__all__ = ["ALPHA", "PAPERS", "agreement", "on_sheet"]

Paper = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _mix(page: np.ndarray, ink: tuple[float, ...], paper: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Ink of one colour on paper of another: float, (H, W, 3)."""
    share = (255.0 - page[..., None]) / 255
    return share * np.array(ink, float) + (1 - share) * np.asarray(paper, float)


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _slope(page: np.ndarray, rng: np.random.Generator, least: float) -> np.ndarray:
    """Light that falls off towards one side: (H, W, 1)."""
    height, width = page.shape
    y, x = np.mgrid[:height, :width]
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x / width + np.sin(angle) * y / height
    along = (along - along.min()) / np.ptp(along)
    return (least + (1 - least) * along)[..., None]


def _grain(page: np.ndarray, rng: np.random.Generator, levels: float) -> np.ndarray:
    return rng.normal(0, levels, (*page.shape, 1))


def _smudges(page: np.ndarray, rng: np.random.Generator, levels: float) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(0, 1, page.shape).astype(np.float32), (0, 0), max(page.shape) / 25)
    return (levels * noise / max(float(np.abs(noise).max()), 1e-6))[..., None]


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def on_sheet(
    page: np.ndarray, rng: np.random.Generator, desk: tuple[int, int, int], *, turn: float, paper: int = 235
) -> tuple[np.ndarray, np.ndarray]:
    """A sheet on a desk: the photo (H, W, 3), and the drawing where it lies in it (H, W)."""
    height, width = page.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 0.8)
    moved = cv2.warpAffine(page, matrix, (width, height), flags=cv2.INTER_AREA, borderValue=255)
    sheet = cv2.warpAffine(np.ones_like(page), matrix, (width, height)) > 0
    wood = np.array(desk, float) + _smudges(page, rng, 25) + _grain(page, rng, 6)
    photo = np.where(sheet[..., None], _mix(moved, (30, 30, 35), (paper, paper - 3, paper - 8)), wood)
    return _bytes(photo + _grain(page, rng, 2)), moved


def _scan(page: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = np.repeat(page[..., None], 3, 2).copy()
    depth = max(2, round(max(page.shape) * rng.uniform(0.005, 0.03)))
    image[:, -depth:] = 12
    image[-depth // 2 :] = 25
    return image


def _board(page: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    slate = np.array((38, 62, 50), float) + _smudges(page, rng, 14) + _grain(page, rng, 3)
    return _bytes(_mix(page, (225, 225, 215), slate))


def _framed_board(page: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = _board(page, rng)
    depth = max(4, round(max(page.shape) * 0.04))
    cv2.rectangle(image, (0, 0), (page.shape[1] - 1, page.shape[0] - 1), (205, 170, 120), 2 * depth)
    return image


def _three_chalks(page: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Black lines and some white lights on grey paper."""
    image = _mix(page, (25, 22, 20), (150, 146, 140)) + _grain(page, rng, 3)
    height, width = page.shape
    for _ in range(3):
        x, y = rng.uniform(0.3, 0.6, 2) * (width, height)
        cv2.line(image, (int(x), int(y)), (int(x + 0.06 * width), int(y + 0.02 * height)), (240, 240, 240), 2)
    return _bytes(image)


PAPERS: dict[str, Paper] = {
    "white": lambda page, _: page,
    "negative": lambda page, _: 255 - page,
    "grey pencil": lambda page, rng: _bytes(_mix(page, (120,) * 3, (244,) * 3) + _grain(page, rng, 2)),
    "kraft": lambda page, rng: _bytes(_mix(page, (40, 28, 20), (188, 150, 104)) + _grain(page, rng, 5)),
    "white chalk on grey": lambda page, rng: _bytes(_mix(page, (245,) * 3, (150, 148, 145)) + _grain(page, rng, 3)),
    "white chalk on kraft": lambda page, rng: _bytes(_mix(page, (250,) * 3, (178, 140, 98)) + _grain(page, rng, 3)),
    "three chalks": _three_chalks,
    "blue paper": lambda page, rng: _bytes(_mix(page, (15, 15, 40), (110, 150, 205)) + _grain(page, rng, 3)),
    "blackboard": _board,
    "framed blackboard": _framed_board,
    "uneven light": lambda page, rng: _bytes(_mix(page, (20,) * 3, (240,) * 3) * _slope(page, rng, 0.4)),
    "uneven blackboard": lambda page, rng: _bytes(_board(page, rng) * _slope(page, rng, 0.6)),
    "scan edges": _scan,
    "screenshot": lambda page, _: cv2.copyMakeBorder(page[1:-1, 1:-1], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0),
    "red on green": lambda page, rng: _bytes(_mix(page, (205, 70, 60), (30, 145, 50))),
    "green on red": lambda page, rng: _bytes(_mix(page, (30, 145, 50), (205, 70, 60))),
    "yellow on white": lambda page, _: _bytes(_mix(page, (255, 240, 60), (255,) * 3)),
    "coarse jpeg": lambda page, _: _jpeg(_bytes(_mix(page, (20,) * 3, (250,) * 3)), 30),
    "desk": lambda page, rng: on_sheet(page, rng, (92, 62, 40), turn=rng.uniform(-6, 6))[0],
}  # fmt: skip
"""Name to a function of a black-on-white page (H, W) and a generator; RGB (H, W, 3) or grey (H, W), uint8."""


def _rgba(ink: tuple[int, int, int]) -> Paper:
    def paint(page: np.ndarray, _: np.random.Generator) -> np.ndarray:
        return np.dstack([np.full((*page.shape, 3), ink, np.uint8), 255 - page])

    return paint


def _cut_out(page: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """A sheet of white paper with its drawing, cut out a little inside its edge."""
    edge = np.zeros_like(page)
    edge[4:-4, 4:-4] = 255
    return np.dstack([page, page, page, edge])


ALPHA: dict[str, Paper] = {
    "black": _rgba((0, 0, 0)),
    "white": _rgba((255, 255, 255)),
    "yellow": _rgba((255, 235, 90)),
    "red": _rgba((200, 30, 30)),
    "white, soft": lambda page, rng: np.dstack([*[np.full_like(page, 250)] * 3, (255 - page) // 2]),
    "cut out": _cut_out,
}
"""Name to a function as in `PAPERS` whose result is RGBA."""


def agreement(result: np.ndarray, page: np.ndarray, *, reach: int = 2) -> float:
    """F-score of the ink of a result against that of the page, within `reach` pixels."""
    found, drawn = result < 160, page < 128
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    near_drawn, near_found = (cv2.dilate(m.view(np.uint8), disc) > 0 for m in (drawn, found))
    precision = (found & near_drawn).sum() / max(found.sum(), 1)
    recall = (drawn & near_found).sum() / max(drawn.sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))
