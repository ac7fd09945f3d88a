"""What a build would do, without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.datasets.build import fingerprint
from sketchprep.datasets.build.planner import list_sources, plan_samples
from sketchprep.datasets.build.summary import summarize_plan
from sketchprep.datasets.layout import read_recipe
from sketchprep.datasets.reports import read_reports
from sketchprep.errors import UserError
from sketchprep.sketching import stages

if TYPE_CHECKING:
    from sketchprep.datasets.build.request import Request
    from sketchprep.sketching.recipe import Recipe

__all__ = ["dry_run"]

# Stored bytes per pixel of the frame, measured on aligned portraits at 512 px; the estimate says so.
BYTES_PER_PIXEL = {
    "photo": 0.38,
    "hed": 0.43,
    "canny": 0.07,
    "photocopy": 0.38,
    "lines": 0.28,
    "two_tone": 0.05,
    "jawline": 0.05,
    "clean": 0.12,
    "complete": 0.12,
    "simplify": 0.2,
    "tidy": 0.1,
    "labels": 0.03,
}
OVERHEAD = 7000  # bytes a pair: JSON, tar headers, rows
# Steps of every build whose time depends on the photo, and those whose time depends on the frame.
PHOTO_STEPS = ("decode", "align", "landmarks")
FRAME_STEPS = ("encode", "write")


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds a photo that an earlier build took.

    Attributes
    ----------
    steps : dict of str to float
        By op, and by `PHOTO_STEPS`, ``encode`` (a picture) and ``write``.
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

    @classmethod
    def measured(cls, out: Path) -> StageTimes:
        """Read the figures that a build left behind; its first 1,000 photos will do.

        Raises
        ------
        UserError
            If there are none.
        """
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
            if name in ops or name in (*PHOTO_STEPS, *FRAME_STEPS):
                key = ops.get(name, name)
                steps[key] = max(steps.get(key, 0.0), 1000 * value / (photos if name in PHOTO_STEPS else pairs))
        steps["encode"] = steps.get("encode", 0.0) / _pictures(len(recipe["store"]), labels=recipe["labels"])
        origin = f"measured on {photos:,} photos of {out}, {recipe['size']} px"
        return cls(steps, recipe["size"], stored["depends_on"].get("device", "cpu"), origin)

    def of_recipe(self, rec: Recipe) -> tuple[dict[str, float], dict[str, float]]:
        """Milliseconds a photo of a recipe, by step: without networks, and of networks.

        Times that depend on the frame grow with its number of pixels; ops that were not measured count as 0.
        """
        scale = (rec.size / self.size) ** 2
        cpu = {name: self.steps.get(name, 0.0) for name in PHOTO_STEPS}
        network: dict[str, float] = {}
        for name, stage in rec.graph.items():
            kind = network if stages.OPS[stage.op].asset else cpu
            kind[name] = self.steps.get(stage.op, 0.0) * scale
        cpu["encode"] = self.steps["encode"] * scale * _pictures(len(rec.store), labels=rec.labels)
        cpu["write"] = self.steps.get("write", 0.0) * scale
        return cpu, network


def dry_run(request: Request, device: str = "auto", times: Path | None = None) -> str:
    """Describe a build: resolved recipe, counts, shards, disk, missing weights.

    Photos are listed and judged by their annotations, but not opened: exact duplicates, and faces that selection
    rejects by what it sees, are not known yet, so the counts are upper bounds.

    Parameters
    ----------
    device : str
        As for a build.
    times : Path, optional
        A build whose seconds by stage are taken for hours; without one none are told.

    Returns
    -------
    str
        Several lines for people; the recipe in it is YAML.
    """
    rec = request.recipe
    measured = None if times is None else StageTimes.measured(times)
    listing = list_sources(request.sources, rec.limit)
    with plan_samples(rec, listing, hashing=False) as draft:
        splits, names, size = Counter(draft.split_counts()), draft.shard_names(), draft.bytes
        summary = summarize_plan(rec, request.sources, draft.lacking, splits, draft.failures())
    shards = Counter(name.rsplit("-", 1)[0] for name in names)
    planned = sum(splits.values())
    values = {"recipe": rec.canonical(), "depends_on": fingerprint.resolve(rec, device)}
    lines = [yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip(), ""]
    lines += [f"folder    {request.out}"]
    lines += [f"source    {s.name} in {s.root}" for s in request.sources]
    lines += [
        f"photos    {listing.count():,} listed, {planned:,} planned at most ({_counts(splits) or 'none'})",
        f"shards    {len(names):,} of up to {rec.shard_size} photos ({_counts(shards) or 'none'})",
        *_work(rec, measured, planned, names),
        *([f"read      {_short(size / 1e9)} GB of photos"] if size else []),
        f"disk      about {_short(_disk(rec, planned))} GB (an estimate from typical portraits)",
        f"weights   {_assets(rec)}",
        summary.text(),
    ]
    return "\n".join(lines)


def _work(rec: Recipe, times: StageTimes | None, photos: int, names: Sequence[str]) -> list[str]:
    """Hours by resource, if there are times to tell them by, and how an array of Slurm's would share them."""
    from sketchprep.cluster import script, settings, slurm
    from sketchprep.datasets.build.slurm import processes_of

    site = settings.load()
    processes = processes_of(site, rec, None)
    per_task = script.batches(len(names), processes, slurm.max_array_size(), site)
    jobs = f"jobs      {-(-len(names) // per_task):,} array tasks of up to {per_task} shards"
    with_processes = f"with {processes} processes (pipelines/slurm.yaml)"
    if times is None:
        return [
            "hours     unknown; give a build with --times OUT: its first 1,000 photos will do",
            f"{jobs}, {with_processes}",
        ]
    cpu, network = times.of_recipe(rec)
    lines = [f"hours     CPU cores, without networks: {_hours(cpu, photos)}"]
    if network:
        lines.append(f"          networks, on {times.device}: {_hours(network, photos)}")
    unknown = [name for name, stage in rec.graph.items() if stage.op not in times.steps]
    lines.append(f"          {times.origin}" + (f"; not measured: {', '.join(unknown)}" if unknown else ""))
    seconds = (sum(cpu.values()) + sum(network.values())) / 1000
    busy = min(per_task * rec.shard_size, photos) * seconds / 3600 / min(processes, per_task)
    return [*lines, f"{jobs}, each about {_short(busy)} hours {with_processes}"]


def _hours(steps: Mapping[str, float], photos: int) -> str:
    """``12 hours (4.3 ms a photo: decode 4, canny 0.3)``."""
    total = sum(steps.values())
    shown = ", ".join(f"{name} {_short(value)}" for name, value in sorted(steps.items(), key=lambda item: -item[1]))
    return f"{_short(photos * total / 3.6e6)} hours ({_short(total)} ms a photo: {shown})"


def _short(value: float) -> str:
    """Write a number with three digits, or all that stand before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _pictures(stored: int, *, labels: bool) -> int:
    """Photo, sketch, and what else is stored."""
    return 2 + stored + labels


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in sorted(counts.items()))


def _disk(rec: Recipe, pairs: int) -> float:
    """Gigabytes."""
    stored: list[Any] = [*rec.store, *([rec.sketch] if rec.sketch else [])]
    per_pixel = BYTES_PER_PIXEL["photo"] * (4 if rec.photo.format == "png" else 1)
    per_pixel += sum(BYTES_PER_PIXEL.get(rec.stages[name].op, 0.4) for name in stored)
    per_pixel += BYTES_PER_PIXEL["labels"] if rec.labels else 0
    return pairs * (per_pixel * rec.size**2 + OVERHEAD) / 1e9


def _assets(rec: Recipe) -> str:
    from sketchprep.core import weights

    states = [weights.state(name) for name in fingerprint.needed_assets(rec)]
    missing = [s.name for s in states if s.state != "ready"]
    ready = [s.name for s in states if s.state == "ready"]
    text = f"ready: {', '.join(ready) or 'none'}"
    return text + (
        f"; missing: {', '.join(missing)} (get them with `sketchprep fetch {' '.join(missing)}`)" if missing else ""
    )
