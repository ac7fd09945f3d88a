"""Status of a build, read from its files alone: counts, failures, seconds by stage."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.datasets import plan
from sketchprep.datasets.layout import UNMERGED, Totals, complete_shards, plan_path
from sketchprep.datasets.remote import view
from sketchprep.datasets.reports import read_reports
from sketchprep.datasets.schema import FAILURES, INDEX, PLAN, SHARD, failure_schema, failures_of
from sketchprep.errors import UserError
from sketchprep.io import tables
from sketchprep.io.files import atomic
from sketchprep.io.object_store import location
from sketchprep.io.shards import read_shard_meta, shard_meta

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Status", "failures_text", "read_failures", "reasons", "save_totals", "shard_failures", "status", "summary"]

STALE_SECONDS = 120
OPEN_AT_ONCE = 16
TOTALS = Path("log") / "merged"


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
    notes : Counter
        What was done to ready-made pairs to number of pairs, of the shards whose figures are there.
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
    notes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

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
    result = Status(location(folder), listed=tables.rows_of(path, PLAN), planned=sum(sizes.values()), shards=len(sizes))
    result.complete, result.splits = len(finished), plan.split_counts(path)
    result.done = sum(sizes[name] for name in finished)
    kept = None if totals is not None or len(finished) < len(sizes) else _kept_totals(out)
    if kept is not None:
        totals, result.seconds, result.measured, result.notes = kept
    else:
        totals = totals or _totals(out, path, sorted(finished))
        _add_reports(result, out, finished)
    result.pairs, result.bytes, result.failures = result.pairs + totals.pairs, totals.bytes, totals.failures
    for error in (out / "log" / "slurm").glob("*.error"):
        result.refused[error.read_text(encoding="utf-8", errors="replace").strip()] += 1
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
    # Clocks differ between nodes, file servers and this machine: the newest sign of life is never in the future.
    now = max([time.time(), *(report["updated"] for report in reports.values())])
    for name, report in reports.items():
        counts = Counter(report["counts"])
        if name not in finished:
            if now - report["updated"] > STALE_SECONDS:
                continue
            result.working += 1
            result.pairs += counts["pair"]
            result.done += sum(counts.values())
        for stage, value in report["seconds"].items():
            seconds[stage] += value
        result.measured += sum(counts.values())
        result.notes.update(report.get("notes", {}))
    result.seconds = dict(seconds)


def save_totals(out: Path, status: Status) -> None:
    """Cache the sums of a finished dataset in ``log/``, so that nobody has to open ten thousand shards again."""
    values = {
        "pairs": status.pairs,
        "bytes": status.bytes,
        "failures": [[rejected, kind, count] for (rejected, kind), count in status.failures.items()],
        "seconds": status.seconds,
        "measured": status.measured,
        "notes": status.notes,
    }
    (out / "log").mkdir(exist_ok=True)
    with atomic(out / TOTALS) as temporary:
        temporary.write_text(json.dumps(values))


def _kept_totals(out: Path) -> tuple[Totals, dict[str, float], int, Counter[str]] | None:
    """The cached sums, seconds by stage, the photos that these cover, and notes; None if missing or outdated."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError):
        values = json.loads((out / TOTALS).read_text())
        if (out / UNMERGED).exists() or tables.rows_of(out / "index.parquet", INDEX) != values["pairs"]:
            return None
        totals = Totals(int(values["pairs"]), int(values["bytes"]))
        totals.failures.update({(bool(rejected), str(kind)): int(n) for rejected, kind, n in values["failures"]})
        seconds = {str(k): float(v) for k, v in values["seconds"].items()}
        return totals, seconds, int(values["measured"]), Counter({str(k): int(n) for k, n in values["notes"].items()})
    return None


def shard_failures(out: Path, names: Iterable[str]) -> Iterator[pa.Table]:
    """Yield the rejected and failed rows of the given shards.  Those without any are known by their footer alone."""
    for name in names:
        path = out / "shards" / f"{name}.parquet"
        with tables.TableFile(path, SHARD) as file:
            meta = shard_meta(file.metadata, path)
            if meta["pairs"] < meta["photos"]:
                yield failures_of(file.read_all(failure_schema().names), path)


def read_failures(out: Path) -> Iterator[pa.Table]:
    """Yield everything that became no pair: what planning dropped, then the rows of the complete shards."""
    merged = out / "failures.parquet"
    if merged.is_file() and _kept_totals(out) is not None:
        yield from tables.tables(merged, kind=FAILURES)
        return
    yield from plan.failure_tables(plan_path(out))
    yield from shard_failures(out, complete_shards(out))


def summary(status: Status, *, kinds: bool = True) -> str:
    """Describe a status as text: counts, by `kinds` of failure too if wanted, and seconds by stage."""
    splits = ", ".join(f"{n} {name}" for name, n in sorted(status.splits.items())) or "none"
    lines = [
        f"{status.folder}: {status.complete} of {status.shards} shards complete"
        + (f", {status.working} at work" if status.working else ""),
        f"  photos listed    {status.listed:>9,}",
        f"  planned          {status.planned:>9,}   ({splits})",
        f"  pairs            {status.pairs:>9,}   ({status.bytes / 1e6:,.1f} MB in complete shards)",
        f"  rejected         {status.rejected:>9,}",
        *(_kind_lines(status, rejected=True) if kinds else ()),
        f"  failed           {status.failed:>9,}",
        *(_kind_lines(status, rejected=False) if kinds else ()),
    ]
    lines += [f"  {n:,} pairs: {note}" for note, n in status.notes.most_common()]
    lines += [f"  {n} tasks ended: {sentence}" for sentence, n in status.refused.most_common()]
    if status.seconds:
        lines.append(f"  seconds by stage (summed over workers, {status.measured:,} photos)")
        for stage, value in sorted(status.seconds.items(), key=lambda item: -item[1]):
            per_photo = 1000 * value / max(status.measured, 1)
            lines.append(f"    {stage:<15}{value:>9.1f}   {per_photo:>7.1f} ms a photo")
    return "\n".join(lines)


def reasons(status: Status) -> str:
    """Why photos are no pairs, counted, the most frequent reason first."""
    counted = [f"{n:,} {kind} ({'rejected' if r else 'failed'})" for (r, kind), n in status.failures.most_common()]
    return ", ".join(counted) or "no photo was planned"


def _kind_lines(status: Status, *, rejected: bool) -> list[str]:
    kinds = [(kind, n) for (r, kind), n in status.failures.most_common() if r == rejected]
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
    plan_path(out)
    known, count, shown = set[str](), 0, list[dict[str, Any]]()
    for rows in read_failures(out):
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
