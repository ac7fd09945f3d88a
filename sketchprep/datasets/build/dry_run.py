"""What a build would do, without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.datasets.build import fingerprint, hours, planner
from sketchprep.datasets.build.listing import list_sources
from sketchprep.sketching import selection

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


def dry_run(request: Request, device: str = "auto", times: Path | None = None) -> str:
    """Describe a build: resolved recipe, counts, shards, disk, missing weights.

    Photos are listed and judged by their annotations, but not opened: exact duplicates, and faces that selection
    rejects by what it sees, are not known yet, so the counts are upper bounds.

    Parameters
    ----------
    device : str
        As for a build.
    times : Path, optional
        A build whose seconds by stage are taken; default typical ones.

    Returns
    -------
    str
        Several lines for people; the recipe in it is YAML.
    """
    rec = request.recipe
    figures = hours.typical() if times is None else hours.measured(times)
    listing = list_sources(request.sources, rec.limit)
    with planner.draft(rec, listing, hashing=False) as draft:
        splits, kinds, names = Counter(draft.split_counts()), draft.reasons, draft.shard_names()
        size, lacking = draft.bytes, draft.lacking
    shards = Counter(name.rsplit("-", 1)[0] for name in names)
    planned = sum(splits.values())
    values = {"recipe": rec.canonical(), "depends_on": fingerprint.resolve(rec, device)}
    lines = [yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip(), ""]
    lines += [f"folder    {request.out}"]
    lines += [f"source    {s.name} in {s.root}" for s in request.sources]
    lines += [
        f"photos    {listing.count():,} listed, {planned:,} planned at most ({_counts(splits) or 'none'})",
        f"left out  {_counts(kinds) or 'nothing'} (by annotations; duplicates and faces: when the build runs)",
        *_unjudged(rec, lacking),
        f"shards    {len(names):,} of up to {rec.shard_size} photos ({_counts(shards) or 'none'})",
        *_hours(rec, figures, planned, names),
        *([f"read      {hours.short(size / 1e9)} GB of photos"] if size else []),
        f"disk      about {hours.short(_disk(rec, planned))} GB (an estimate from typical portraits)",
        f"weights   {_assets(rec)}",
    ]
    return "\n".join(lines)


def _hours(rec: Recipe, times: hours.Times, photos: int, names: Sequence[str]) -> list[str]:
    """Hours by resource, and how an array of Slurm's would share them."""
    from sketchprep.cluster import script, settings, slurm
    from sketchprep.datasets.build import slurm as submit

    found, site = hours.estimate(rec, times), settings.load()
    lines = [f"hours     CPU cores, without networks: {found.text(found.cpu, photos)}"]
    if found.network:
        lines.append(f"          networks, on {times.device}: {found.text(found.network, photos)}")
    stand_in = hours.unmeasured(rec, times)
    lines.append(f"          {times.origin}" + (f"; typical figures for {', '.join(stand_in)}" if stand_in else ""))
    processes = submit.processes_of(site, rec, None)
    per_task = script.batches(len(names), processes, slurm.max_array_size(), site)
    busy = min(per_task * rec.shard_size, photos) * found.seconds / 3600 / min(processes, per_task)
    tasks = -(-len(names) // per_task)
    share = f"{tasks:,} array tasks of up to {per_task} shards, each about {hours.short(busy)} hours"
    lines.append(f"jobs      {share} with {processes} processes (pipelines/slurm.yaml)")
    return lines


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in sorted(counts.items()))


def _unjudged(rec: Recipe, lacking: Counter[str]) -> list[str]:
    missing = selection.unjudged(
        lacking,
        exclude_attributes=rec.select.exclude_attributes,
        require_attributes=rec.select.require_attributes,
        pose_limits=rec.select.pose.limits,
    )
    notes = {
        "attributes": "have no attributes: those rules do not apply to them",
        "pose": "have no pose annotation: it is estimated from the landmarks",
    }
    return [f"note      {count:,} photos {notes[name]}" for name, count in missing.items()]


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
