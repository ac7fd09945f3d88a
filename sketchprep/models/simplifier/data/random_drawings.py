"""Random clean drawings: free curves, shapes, strands, and arrangements like faces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.models.simplifier.data.strokes import Stroke
from sketchprep.ops.jawline import catmull_rom

__all__ = ["random_drawing", "random_outline"]


def random_drawing(rng: np.random.Generator, size: int) -> list[Stroke]:
    """Strokes of a random drawing on a square of `size` pixels; some reach beyond it."""
    kinds: list[tuple[float, Callable[[np.random.Generator, float], list[Stroke]]]] = [
        (0.3, _curves), (0.25, _shapes), (0.15, _strands), (0.3, _face),
    ]  # fmt: skip
    chances = np.array([chance for chance, _ in kinds])
    strokes: list[Stroke] = []
    for _ in range(1 + int(rng.random() < 0.4)):
        strokes += kinds[rng.choice(len(kinds), p=chances)][1](rng, float(size))
    return strokes


def random_outline(rng: np.random.Generator, centre: np.ndarray, radius: float) -> Stroke:
    """A closed outline: ellipse, smooth blob or polygon."""
    kind = rng.random()
    if kind < 0.35:
        angle = np.linspace(0, 2 * np.pi, max(16, int(radius)))
        shape = np.stack([np.cos(angle), rng.uniform(0.4, 1.0) * np.sin(angle)], 1) * radius
    elif kind < 0.8:
        count = int(rng.integers(5, 11))
        angle = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(-0.2, 0.2, count)
        reach = radius * rng.uniform(0.6, 1.1, count)
        knots = np.stack([np.cos(angle) * reach, np.sin(angle) * reach], 1)
        shape = catmull_rom(np.concatenate([knots[-2:], knots, knots[:2]]), steps=8)[16 : 16 + 8 * count + 1]
        shape = np.concatenate([shape[:-1], shape[:1]])
    else:
        count = int(rng.integers(3, 7))
        angle = np.sort(rng.uniform(0, 2 * np.pi, count))
        knots = np.stack([np.cos(angle), np.sin(angle)], 1) * radius
        shape = np.concatenate([np.linspace(a, b, 12)[:-1] for a, b in zip(knots, np.roll(knots, -1, 0), strict=True)])
        shape = np.concatenate([shape, shape[:1]])
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (shape @ rotation.T + centre).astype(np.float32)


def _curve(rng: np.random.Generator, start: np.ndarray, reach: float) -> Stroke:
    """A cubic Bezier, or a spline through a few wandering points."""
    if rng.random() < 0.6:
        p = start + np.concatenate([[[0, 0]], rng.normal(0, reach, (3, 2))])
        t = np.linspace(0, 1, 24)[:, None]
        points = (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3]
    else:
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.6, int(rng.integers(3, 8))))
        steps = np.stack([np.cos(heading), np.sin(heading)], 1) * reach * 0.5
        points = catmull_rom(start + np.concatenate([[[0, 0]], np.cumsum(steps, 0)]), steps=8)
    return points.astype(np.float32)


def _curves(rng: np.random.Generator, size: float) -> list[Stroke]:
    count = int(rng.integers(3, 14))
    return [_curve(rng, rng.uniform(0, size, 2), rng.uniform(0.08, 0.4) * size) for _ in range(count)]


def _shapes(rng: np.random.Generator, size: float) -> list[Stroke]:
    strokes = []
    for _ in range(int(rng.integers(2, 8))):
        centre, radius = rng.uniform(0, size, 2), rng.uniform(0.05, 0.35) * size
        outline = random_outline(rng, centre, radius)
        strokes.append(outline)
        if rng.random() < 0.4:
            strokes.append(((outline - centre) * rng.uniform(0.4, 0.8) + centre).astype(np.float32))
    return strokes


def _strands(rng: np.random.Generator, size: float) -> list[Stroke]:
    """A bundle of strokes that nearly follow each other, as hair is drawn."""
    guide = _curve(rng, rng.uniform(0.1, 0.9, 2) * size, 0.3 * size)
    direction = rng.normal(0, 1, 2)
    direction /= max(float(np.hypot(*direction)), 1e-6)
    gap, strokes = rng.uniform(0.03, 0.07) * size, []
    for i in range(int(rng.integers(4, 12))):
        first = int(rng.integers(0, len(guide) // 2))
        part = guide[first : first + max(4, int(rng.uniform(0.4, 1.0) * len(guide)))]
        fan = 1 + 0.1 * i * rng.uniform(-1, 1)
        strokes.append(((part - guide[0]) * fan + guide[0] + direction * gap * i).astype(np.float32))
    return strokes


def _face(rng: np.random.Generator, size: float) -> list[Stroke]:
    """Head, eyes with pupils, brows, nose, mouth with teeth, ears, neck and hair, in a frame of 1 and then placed."""
    wide, tall = rng.uniform(0.24, 0.32), rng.uniform(0.32, 0.4)
    angle = np.linspace(0, 2 * np.pi, 60)
    chin = 1 + 0.08 * rng.standard_normal()
    outline = np.stack(
        [wide * np.cos(angle) * (1 - 0.15 * np.maximum(np.sin(angle), 0)), tall * chin * np.sin(angle)], 1
    )
    part = outline[: int(rng.uniform(31, 61))]
    inner = [*_eyes(rng, wide), *_nose_mouth(rng, wide, tall)]
    if rng.random() < 0.4:  # unfinished, so that no eye is expected where there are but specks
        share = rng.random()
        inner = [stroke for stroke in inner if rng.random() < share]
    strokes = [part, *inner]
    if rng.random() < 0.7:
        strokes += [
            np.array([(s * 0.5 * wide, 0.85 * tall), (s * 0.5 * wide, 1.2 * tall), (s * 0.9 * wide, 1.4 * tall)])
            for s in (-1, 1)
        ]
    if rng.random() < 0.5:
        ear = random_outline(rng, np.zeros(2), 0.05)
        strokes += [ear + np.array([s * wide * 1.03, 0.0]) for s in (-1, 1)]
    for _ in range(int(rng.integers(0, 14))):
        root = rng.uniform(np.pi, 2 * np.pi)
        start = np.array([wide * np.cos(root), tall * np.sin(root)]) * rng.uniform(0.75, 1.1)
        fall = np.array([np.sign(start[0]) * rng.uniform(0, 0.15), rng.uniform(0.05, 0.5)])
        strokes.append(catmull_rom(np.stack([start, start + fall * [1.2, 0.4], start + fall]), steps=8))
    zoom = size * rng.uniform(0.8, 2.0)
    turn = rng.normal(0, 0.12)
    matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    place = size * (0.5 + rng.uniform(-0.2, 0.2, 2))
    return [vector.smooth((s @ matrix.T + place).astype(np.float32), sigma=1.5) for s in strokes]


def _eyes(rng: np.random.Generator, wide: float) -> list[np.ndarray]:
    half, up, down = rng.uniform(0.22, 0.3) * wide, rng.uniform(0.25, 0.6), rng.uniform(0.15, 0.5)
    across = np.linspace(-1, 1, 16)
    arch = 1 - across**2
    iris = 0.45 * half
    angle = np.linspace(0, 2 * np.pi, 20)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    brow, strokes = rng.uniform(0.6, 1.0), []
    for side in (-1, 1):
        at = np.array([side * 0.48 * wide, rng.normal(-0.03, 0.005)])
        strokes += [at + np.stack([across, -up * arch], 1) * half, at + np.stack([across, down * arch], 1) * half]
        strokes += [at + circle * iris, at + circle * 0.3 * iris]
        strokes.append(at + np.stack([across * 1.2, -brow - 0.25 * arch], 1) * half)
        if rng.random() < 0.5:
            strokes.append(at + np.stack([across * 1.2, -brow + 0.05 - 0.05 * arch], 1) * half)
    return strokes


def _nose_mouth(rng: np.random.Generator, wide: float, tall: float) -> list[np.ndarray]:
    tip, half = 0.28 * tall, rng.uniform(0.16, 0.24) * wide
    wing = [(half, tip - 0.06 * tall), (half * 1.1, tip), (0.4 * half, tip + 0.02)]
    nose = catmull_rom(np.array([*((-x, y) for x, y in wing), (0, tip + 0.03), *wing[::-1]]), steps=6)
    level, smile = 0.58 * tall, rng.uniform(-0.02, 0.05)
    across = np.linspace(-1, 1, 16)
    arch, mouth = 1 - across**2, rng.uniform(0.35, 0.5) * wide
    lines = [rng.uniform(-0.05, -0.02) * arch, rng.uniform(0.0, 0.02) * arch, rng.uniform(0.03, 0.07) * arch]
    strokes = [nose, *(np.stack([across * mouth, level + smile * arch + line], 1) for line in lines)]
    if rng.random() < 0.3:
        strokes += [
            np.array([(x, level + smile), (x, level + smile + 0.02)]) for x in np.linspace(-0.5, 0.5, 6) * mouth
        ]
    return strokes
