"""What a build is and did, read from its files alone: status, summary, failures, dataset card."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sketchprep.core.progress import read_reports
from sketchprep.datasets import hub, merged, plan, preview
from sketchprep.datasets.build import halfway
from sketchprep.datasets.build.merge import Totals, complete_shards, read_failures, shard_failures
from sketchprep.datasets.reader import read_recipe
from sketchprep.datasets.remoteview import view
from sketchprep.errors import UserError
from sketchprep.io.files import atomic
from sketchprep.io.object_store import location
from sketchprep.io.shards import read_shard_meta
from sketchprep.io.tables import rows_of

__all__ = ["Status", "failures_text", "status", "summary", "write_card", "write_preview"]

STALE_SECONDS = 120
OPEN_AT_ONCE = 16


@dataclass
class Status:
    """Where a build stands.

    Attributes
    ----------
    listed, planned, pairs : int
        Photos found; planned into shards; finished pairs in complete shards and in shards at work.
    shards, complete, working : int
        All shards, finished ones, and ones with a sign of life in the last two minutes.
    failures : Counter
        (rejected, kind) to number of photos, over the plan and the complete shards.
    seconds : dict of str to float
        Time spent by stage, summed over workers, of the shards whose figures are there.
    measured : int
        Photos that these seconds cover.
    halfway : int
        Shards that wait for the second of two passes.
    refused : Counter
        Sentence with which tasks of the last job array ended to number of tasks.
    """

    folder: Path
    listed: int = 0
    planned: int = 0
    pairs: int = 0
    done: int = 0
    shards: int = 0
    complete: int = 0
    working: int = 0
    bytes: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    failures: Counter[tuple[bool, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    measured: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    halfway: int = 0

    @property
    def failed(self) -> int:
        """Photos that could not be processed."""
        return sum(n for (rejected, _), n in self.failures.items() if not rejected)

    @property
    def rejected(self) -> int:
        """Sound photos that were not wanted."""
        return sum(n for (rejected, _), n in self.failures.items() if rejected)


def status(folder: str | Path, totals: Totals | None = None) -> Status:
    """Read where a build stands; works from any machine that sees the folder, also while the build runs.

    Parameters
    ----------
    totals : Totals, optional
        What a merge has just seen of all shards, so that they need not be read again.

    Raises
    ------
    UserError
        If the folder holds no planned dataset.
    """
    out = view(folder)
    path = plan_path(out)
    sizes = plan.shard_sizes(path)
    finished = set(complete_shards(out)) & sizes.keys()
    result = Status(location(folder), listed=rows_of(path), planned=sum(sizes.values()), shards=len(sizes))
    result.complete, result.splits = len(finished), plan.split_counts(path)
    result.done = sum(sizes[name] for name in finished)
    result.halfway = len(set(halfway.names(out)) - finished)
    kept = None if totals is not None or len(finished) < len(sizes) else merged.read(out)
    if kept is not None:
        totals, result.seconds, result.measured = kept
    else:
        totals = totals or _totals(out, path, sorted(finished))
        _add_reports(result, out, finished)
    result.pairs, result.bytes, result.failures = result.pairs + totals.pairs, totals.bytes, totals.failures
    for error in (out / "log" / "slurm").glob("*.error"):
        result.refused[error.read_text(encoding="utf-8").strip()] += 1
    return result


def _totals(out: Path, path: Path, names: list[str]) -> Totals:
    """Sum up complete shards by their footers; several at once, since a network file system answers slowly."""
    totals = Totals()
    for dropped in plan.failure_tables(path):
        totals.count(dropped)
    with ThreadPoolExecutor(OPEN_AT_ONCE) as pool:
        metas = list(pool.map(lambda name: read_shard_meta(out / "shards" / f"{name}.parquet"), names))
    for name, meta in zip(names, metas, strict=True):
        totals.pairs += meta["pairs"]
        totals.bytes += meta["tar_bytes"]
        if meta["pairs"] < meta["photos"]:
            for rows in shard_failures(out, [name]):
                totals.count(rows)
    return totals


def _add_reports(result: Status, out: Path, finished: set[str]) -> None:
    """Add what the shards at work say of themselves, and everybody's seconds."""
    seconds: defaultdict[str, float] = defaultdict(float)
    reports = read_reports(out / "log")
    first_pass = {n: r for n, r in read_reports(out / halfway.REPORTS).items() if n not in reports}
    # Clocks differ between nodes, file servers and this machine: the newest sign of life is never in the future.
    now = max([time.time(), *(report["updated"] for report in (reports | first_pass).values())])
    for name, report in (reports | first_pass).items():
        counts = Counter(report["counts"])
        if name not in finished:
            if now - report["updated"] > STALE_SECONDS:
                continue
            result.working += name in reports or not report["done"]
            if name in reports:
                result.pairs += counts["pair"]
                result.done += sum(counts.values())
        for stage, value in report["seconds"].items():
            seconds[stage] += value
        result.measured += sum(counts.values())
    result.seconds = dict(seconds)


def plan_path(out: Path) -> Path:
    """Path of a dataset's plan.

    Raises
    ------
    UserError
        If there is none.
    """
    path = out / "plan.parquet"
    if not path.is_file():
        raise UserError(f"{out}: holds no planned dataset (plan.parquet is missing); make one with `sketchprep build`")
    return path


def summary(found: Status) -> str:
    """Describe a status as text: counts, reasons, seconds by stage."""
    splits = ", ".join(f"{n} {name}" for name, n in sorted(found.splits.items())) or "none"
    lines = [
        f"{found.folder}: {found.complete} of {found.shards} shards complete"
        + (f", {found.halfway} wait for their second pass" if found.halfway else "")
        + (f", {found.working} at work" if found.working else ""),
        f"  photos listed    {found.listed:>9,}",
        f"  planned          {found.planned:>9,}   ({splits})",
        f"  pairs            {found.pairs:>9,}   ({found.bytes / 1e6:,.1f} MB in complete shards)",
        f"  rejected         {found.rejected:>9,}",
        *_kind_lines(found, rejected=True),
        f"  failed           {found.failed:>9,}",
        *_kind_lines(found, rejected=False),
    ]
    lines += [f"  {n} tasks ended: {sentence}" for sentence, n in found.refused.most_common()]
    if found.seconds:
        lines.append(f"  seconds by stage (summed over workers, {found.measured:,} photos)")
        for stage, value in sorted(found.seconds.items(), key=lambda item: -item[1]):
            per_photo = 1000 * value / max(found.measured, 1)
            lines.append(f"    {stage:<15}{value:>9.1f}   {per_photo:>7.1f} ms a photo")
    return "\n".join(lines)


def _kind_lines(found: Status, *, rejected: bool) -> list[str]:
    kinds = [(kind, n) for (r, kind), n in found.failures.most_common() if r == rejected]
    return [f"    {kind:<15}{n:>9,}" for kind, n in kinds]


def failures_text(folder: str | Path, *, kind: str | None = None, limit: int | None = 20) -> str:
    """List what was rejected or failed, newest plan first, with reason and figure.

    Parameters
    ----------
    kind : str, optional
        Only this kind.
    limit : int, optional
        Lines at most; None for all.
    """
    import pyarrow.compute as pc

    out = view(folder)
    path = plan_path(out)
    known, count, shown = set[str](), 0, list[dict[str, Any]]()
    for rows in merged.failures(out) or read_failures(out, path, complete_shards(out)):
        known |= set(rows["kind"].unique().to_pylist())
        wanted = rows if kind is None else rows.filter(pc.equal(rows["kind"], kind))
        shown += wanted.slice(0, None if limit is None else max(0, limit - len(shown))).to_pylist()
        count += len(wanted)
    if kind is not None and kind not in known:
        raise UserError(
            f"--kind {kind}: there is none of that kind; there are: {', '.join(sorted(known)) or 'none at all'}"
        )
    # Ids are file names: shown as Python literals, so that a newline in one cannot forge a line.
    lines = [
        f"{'rejected' if r['rejected'] else 'failed':<9}{r['stage']:<8}{r['kind']:<14}{r['id']!r}: {r['message']}"
        for r in shown
    ]
    if count > len(shown):
        lines.append(f"... and {count - len(shown)} more; --all shows them")
    return "\n".join(lines) or "nothing was rejected and nothing failed"


def write_preview(out: Path) -> None:
    """Write ``preview.jpg``."""
    preview.save(preview.preview(out), out / "preview.jpg")


def write_card(out: Path, totals: Totals | None = None) -> None:
    """Write the dataset card ``README.md``, whose header lets Hugging Face ``datasets`` open the shards.

    Parameters
    ----------
    totals : Totals, optional
        As for `status`.
    """
    found = status(out, totals)
    if totals is not None:
        merged.write(out, totals, found.seconds, found.measured)
    stored = read_recipe(out)
    header = yaml.safe_dump(_card_header(found, stored), sort_keys=False, allow_unicode=True)
    text = f"---\n{header}---\n\n{_card_body(found, stored)}"
    with atomic(out / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _card_header(found: Status, stored: dict[str, Any]) -> dict[str, Any]:
    recipe = stored["recipe"]
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    photo = "photo.png" if recipe["photo"]["format"] == "png" else "photo.jpg"
    names = ["sketch", *recipe["store"], *(["labels"] if recipe["labels"] else [])]
    return {
        "pretty_name": recipe["name"],
        "license": "other",
        "task_categories": ["image-to-image"],
        "size_categories": [next((name for most, name in sizes if found.pairs < most), "n>1M")],
        "tags": ["sketch", "face", "webdataset"],
        **hub.header(
            [name for name in plan.SPLITS if found.splits.get(name)], [photo, *(f"{name}.png" for name in names)]
        ),
    }


def _card_body(found: Status, stored: dict[str, Any]) -> str:
    from sketchprep.core.version import VERSION

    recipe = stored["recipe"]
    splits = ", ".join(f"{n:,} {name}" for name, n in sorted(found.splits.items()))
    kinds = ", ".join(f"{n:,} {kind}" for (_, kind), n in found.failures.most_common()) or "none"
    members = ["photo", "sketch", *recipe["store"], *(["labels"] if recipe["labels"] else [])]
    stages = "\n".join(f"| `{n}` | {s['op']} | `{s['input']}` |" for n, s in recipe["stages"].items())
    return f"""# {recipe["name"]}

{recipe["description"]}

{found.pairs:,} pairs at {recipe["size"]}×{recipe["size"]} px in the frame `{recipe["align"]["template"]}`, \
made by sketchprep {VERSION}. Planned: {splits}. Left out: {kinds}.

![photo beside each stored sketch](preview.jpg)

## What a pair holds

Photos are RGB in sRGB, JPEG 4:4:4 or PNG; sketches are grey PNG, black ink on white; members of a tar are named
`KEY.MEMBER.EXTENSION`: {", ".join(f"`{m}`" for m in members)} and `KEY.json` with id, landmarks, pose and attributes.
`sketch` is the result of the stage `{recipe["sketch"]}`.

| Stage | Op | Input |
|---|---|---|
{stages}

`index.parquet` has one row a pair with the byte offset, size and sha256 of every member; `failures.parquet` says why
the other photos are not here; `recipe.yaml` holds the resolved recipe and what the bytes depend on.

```python
import sketchprep
pairs = sketchprep.open_pairs("{found.folder.name}", split="train")
pairs[0].photo, pairs[0].sketch
```

## Licences

{_licences(recipe)}

The pairs are derived from the photos: what the photos' licence asks for holds for the pairs too.
"""


def _licences(recipe: dict[str, Any]) -> str:
    from sketchprep.core import weights
    from sketchprep.datasets import sources
    from sketchprep.sketching import stages

    lines = []
    for spec in recipe["sources"]:
        kind = sources.source_class(spec["name"])
        lines.append(f"- photos `{spec['name']}`: {kind.licence}" + (f" ({kind.homepage})" if kind.homepage else ""))
    own = {name: s["weights"] for name, s in recipe["stages"].items() if s.get("weights") is not None}
    lines += [f"- weights of stage `{name}`: your own file {Path(path).name}" for name, path in own.items()]
    used = {a for n, s in recipe["stages"].items() if n not in own and (a := stages.OPS[s["op"]].asset)}
    for name in sorted({"dlib-landmarks-68", *used}):
        state = weights.state(name)
        lines.append(f"- weights `{name}`: {state.licence}" + (f"; {state.restriction}" if state.restriction else ""))
    return "\n".join(lines)
