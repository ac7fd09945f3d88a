"""Reading of ``plan.parquet``: shards, and dropped samples.  `sketchprep.datasets.build.planner` writes it.

Every function takes a table, or the path of a ``plan.parquet``: of a file one row group is held at a time, and only the
columns that are needed, so that ten million rows are no more trouble than ten.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.datasets.layout import is_shard_name
from sketchprep.datasets.schema import FAILURES, PLAN, PLANNED, failure_schema, plan_schema
from sketchprep.errors import UserError
from sketchprep.io.table_writers import RowGroups
from sketchprep.io.tables import TableFile, tables
from sketchprep.records import Failure, Sample

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ShardPlan",
    "failure_tables",
    "failures",
    "iter_shards",
    "read_shards",
    "row_groups",
    "shard_names",
    "shard_sizes",
    "shards",
    "shards_of",
    "split_counts",
]

GROUP_ROWS = 1 << 17
HELD_ROWS = 1 << 15


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One unit of work: a name, and its samples with their ordinals and planned digests, in order."""

    name: str
    split: str
    ordinals: tuple[int, ...]
    samples: tuple[Sample, ...]
    digests: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.samples)


def row_groups(path: Path) -> RowGroups:
    """Open a ``plan.parquet`` for writing: a context manager with ``add``."""
    return RowGroups(path, plan_schema(), GROUP_ROWS)


def shard_sizes(plan: pa.Table | Path) -> dict[str, int]:
    """Photos of every planned shard, by name in order.  A file is scanned once, until it changes."""
    if not isinstance(plan, Path):
        return _count_shards(plan)
    state = plan.stat()
    return dict(_count_shards_of(plan, (state.st_ino, state.st_mtime_ns, state.st_size)))


@functools.lru_cache(maxsize=8)
def _count_shards_of(path: Path, state: tuple[int, int, int]) -> dict[str, int]:
    return _count_shards(path)


def _count_shards(plan: pa.Table | Path) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for table in tables(plan, ["shard"], kind=PLAN):
        groups = table["shard"].value_counts()
        counts.update(dict(zip(groups.field("values").to_pylist(), groups.field("counts").to_pylist(), strict=True)))
    counts.pop(None, None)  # type: ignore[call-overload]
    for name in counts:
        if not is_shard_name(name):
            raise UserError(f"{plan}: is damaged (no shard is called {name!r}); {PLAN.remedy}")
    return dict(sorted(counts.items()))


def split_counts(plan: pa.Table | Path) -> dict[str, int]:
    """Planned photos of every split."""
    counts: Counter[str] = Counter()
    for name, size in shard_sizes(plan).items():
        counts[name.rpartition("-")[0]] += size
    return dict(sorted(counts.items()))


def shard_names(plan: pa.Table | Path) -> list[str]:
    """Names of the planned shards, sorted."""
    return list(shard_sizes(plan))


def shards(plan: pa.Table | Path) -> dict[str, ShardPlan]:
    """Group the planned samples by shard, sorted by the shard's name."""
    return read_shards(plan, shard_names(plan))


def read_shards(plan: pa.Table | Path, names: Collection[str]) -> dict[str, ShardPlan]:
    """Read only the given shards, sorted by name."""
    return _collect(plan, sorted(names))


def iter_shards(plan: pa.Table | Path, names: Sequence[str]) -> Iterator[ShardPlan]:
    """Yield shards in the given order; of a file, no more of them are held than lie in a row group or so."""
    sizes = shard_sizes(plan)
    waiting: list[str] = []
    for name in names:
        waiting.append(name)
        if sum(sizes[n] for n in waiting) >= HELD_ROWS:
            yield from _collect(plan, waiting).values()
            waiting = []
    yield from _collect(plan, waiting).values()


def _collect(plan: pa.Table | Path, names: Sequence[str]) -> dict[str, ShardPlan]:
    import pyarrow as pa

    wanted = pa.array(names, pa.string())
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for table in _holding(plan, wanted):
        for row in table.to_pylist():
            groups[row["shard"]].append(row)
    return {name: _shard(name, rows) for name, rows in groups.items() if rows}


def _holding(plan: pa.Table | Path, wanted: pa.Array) -> Iterator[pa.Table]:
    """Rows of the wanted shards; row groups without any are known by one column."""
    import pyarrow.compute as pc

    if not isinstance(plan, Path):
        yield plan.filter(pc.is_in(plan["shard"], wanted))
        return
    with TableFile(plan, PLAN) as file:
        for number in range(len(file.groups)):
            inside = pc.is_in(file.read(number, ["shard"])["shard"], wanted)
            if pc.any(inside).as_py():
                yield PLANNED.checked(file.read(number).filter(inside), plan)


def shards_of(plan: pa.Table | Path, keys: Collection[tuple[str, str]]) -> list[str]:
    """Names of the shards that hold the given (source, id)."""
    found = set()
    for table in tables(plan, ["source", "id", "shard"], kind=PLAN):
        columns = (column(table, name) for name in ("source", "id", "shard"))
        found |= {shard for source, id_, shard in zip(*columns, strict=True) if shard and (source, id_) in keys}
    return sorted(found)


def failure_tables(plan: pa.Table | Path) -> Iterator[pa.Table]:
    """Yield the samples that planning dropped, in the columns of ``failures.parquet``."""
    import pyarrow.compute as pc

    for table in tables(plan, failure_schema().names, kind=PLAN):
        dropped = table.filter(pc.is_valid(table["kind"]))
        if len(dropped):
            yield FAILURES.checked(dropped, plan) if isinstance(plan, Path) else dropped


def failures(plan: pa.Table | Path) -> list[Failure]:
    """Return the samples that planning dropped."""
    return [Failure(**row) for table in failure_tables(plan) for row in table.to_pylist()]


def column(table: pa.Table, name: str) -> list[Any]:
    """Return a column as a list."""
    return table[name].to_pylist()


def _shard(name: str, rows: list[dict[str, Any]]) -> ShardPlan:
    samples = tuple(
        Sample(
            id=r["id"],
            source=r["source"],
            path=r["path"],
            size=r["size"],
            sketch_path=r["sketch_path"],
            attributes=None if r["attributes"] is None else tuple(r["attributes"]),
            pose=None if r["pose"] is None else tuple(r["pose"]),
            split=None,
        )
        for r in rows
    )
    return ShardPlan(
        name, rows[0]["split"], tuple(r["ordinal"] for r in rows), samples, tuple(r["sha256"] for r in rows)
    )
