"""How long a build will take, from what earlier builds took by stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.errors import UserError
from sketchprep.sketching import stages

if TYPE_CHECKING:
    from sketchprep.sketching.recipe import Recipe

__all__ = ["Hours", "Times", "estimate", "measured", "short", "typical", "unmeasured"]

# Milliseconds a photo at 512 px on one thread of a Zen 4 core: ops and networks (bfloat16) by their CPU time on six
# portraits of 1000 px, the rest from a build of twenty.  `encode` is for one picture.
TYPICAL = {
    "decode": 4.0,
    "align": 16.0,
    "landmarks": 22.0,
    "encode": 4.0,
    "write": 2.0,
    "hed": 875.0,
    "canny": 1.0,
    "photocopy": 6.3,
    "clean": 37.0,
    "simplify": 128.0,
    "tidy": 9.4,
    "complete": 24.0,
    "lines": 65.0,
    "two_tone": 149.0,
    "jawline": 1.2,
}
TYPICAL_SIZE = 512
# These depend on the photo, not on the frame.
OF_THE_PHOTO = ("decode", "align", "landmarks")


@dataclass(frozen=True)
class Times:
    """Milliseconds a photo.

    Attributes
    ----------
    steps : dict of str to float
        By op, and by ``decode``, ``align``, ``landmarks``, ``encode`` (a picture) and ``write``.
    size : int
        Of the frame in pixels.
    device : str
        Where networks ran.
    origin : str
        For people: whose figures these are.
    """

    steps: Mapping[str, float]
    size: int
    device: str
    origin: str


@dataclass(frozen=True)
class Hours:
    """Milliseconds a photo by step, without networks and of networks."""

    cpu: dict[str, float]
    network: dict[str, float]

    @property
    def seconds(self) -> float:
        """Of a photo in all steps, one after the other."""
        return (sum(self.cpu.values()) + sum(self.network.values())) / 1000

    def text(self, steps: Mapping[str, float], photos: int) -> str:
        """``12 hours (4.3 ms a photo: decode 4, canny 0.3)``."""
        total = sum(steps.values())
        largest = sorted(steps.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{name} {short(value)}" for name, value in largest)
        return f"{short(photos * total / 3.6e6)} hours ({short(total)} ms a photo: {shown})"


def typical() -> Times:
    """Figures of the machine that this was written on."""
    return Times(TYPICAL, TYPICAL_SIZE, "cpu", "typical of one Zen 4 core; take your own from a build with --times OUT")


def measured(out: Path) -> Times:
    """Figures that a build left behind; its first 1,000 photos will do.

    Raises
    ------
    UserError
        If there are none.
    """
    from sketchprep.core.progress import read_reports
    from sketchprep.datasets.layout import read_recipe

    stored = read_recipe(out)
    seconds: Counter[str] = Counter()
    photos = pairs = 0
    for report in read_reports(out / "log").values():
        seconds.update(report["seconds"])
        photos += sum(report["counts"].values())
        pairs += report["counts"].get("pair", 0)
    if not pairs:
        raise UserError(f"--times {out}: log/ holds no figures of finished photos; name a folder that was built")
    recipe = stored["recipe"]
    ops = {name: stage["op"] for name, stage in recipe["stages"].items()}
    steps: dict[str, float] = {}
    for name, value in seconds.items():
        if name in ops or name in TYPICAL:
            over = photos if name in OF_THE_PHOTO else pairs
            key = ops.get(name, name)
            steps[key] = max(steps.get(key, 0.0), 1000 * value / over)
    steps["encode"] = steps.get("encode", 0.0) / _pictures(len(recipe["store"]), labels=recipe["labels"])
    origin = f"measured on {photos:,} photos of {out}, {recipe['size']} px"
    return Times(steps, recipe["size"], stored["depends_on"].get("device", "cpu"), origin)


def estimate(rec: Recipe, times: Times) -> Hours:
    """Milliseconds a photo of a recipe; times go with the number of pixels where they depend on the frame."""
    scale = (rec.size / times.size) ** 2
    cpu = {name: _of(times, name, 1.0, 1.0) for name in OF_THE_PHOTO}
    network: dict[str, float] = {}
    for name, stage in rec.graph.items():
        target = network if stages.OPS[stage.op].asset else cpu
        target[name] = _of(times, stage.op, scale, (rec.size / TYPICAL_SIZE) ** 2)
    frame = (rec.size / TYPICAL_SIZE) ** 2
    cpu["encode"] = _of(times, "encode", scale, frame) * _pictures(len(rec.store), labels=rec.labels)
    cpu["write"] = _of(times, "write", scale, frame)
    return Hours(cpu, network)


def short(value: float) -> str:
    """Write a number with three digits, or all that stand before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def unmeasured(rec: Recipe, times: Times) -> list[str]:
    """Stages for which the times have no figure and a typical one stands in."""
    return [name for name, stage in rec.graph.items() if stage.op not in times.steps]


def _of(times: Times, step: str, scale: float, typical_scale: float) -> float:
    if step in times.steps:
        return times.steps[step] * scale
    return TYPICAL.get(step, 0.0) * typical_scale


def _pictures(stored: int, *, labels: bool) -> int:
    """Photo, sketch, and what else is stored."""
    return 2 + stored + labels
