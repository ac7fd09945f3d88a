"""The planning pass: which photos, which split, which shard.  Written once; nothing later moves a sample."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import SampleError, UserError
from sketchprep.records import Failure, Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.recipe import Recipe
    from sketchprep.sources.base import Source

__all__ = [
    "Listing",
    "ShardPlan",
    "failures",
    "list_sources",
    "make",
    "read_shards",
    "shard_names",
    "shards",
    "shards_in_order",
    "shards_of",
]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Listing:
    """What the sources offer now: samples in planning order, and what was refused while listing."""

    samples: tuple[Sample, ...]
    refused: tuple[Failure, ...]


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


def schema() -> pa.Schema:
    """Columns of ``plan.parquet``; a sample that was dropped has no ordinal and no shard, but a kind and a message."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("ordinal", pa.int64()),
            ("id", text),
            ("source", text),
            ("path", text),
            ("sketch_path", text),
            ("size", pa.int64()),
            ("sha256", text),
            ("split", text),
            ("shard", text),
            ("attributes", pa.list_(text)),
            ("pose", pa.list_(pa.float64(), 3)),
            ("stage", text),
            ("kind", text),
            ("message", text),
            ("rejected", pa.bool_()),
        ]
    )


def list_sources(sources: Sequence[Source], limit: int | None = None) -> Listing:
    """List every source in the recipe's order; with `limit`, only the first so many samples of each.

    Raises
    ------
    UserError
        If there is not one photo.
    """
    samples: list[Sample] = []
    refused: list[Failure] = []
    for source in sources:
        found = source.samples()
        samples += found[:limit]
        refused += source.refused()
    if not samples:
        where = ", ".join(f"{s.name} in {s.root}" for s in sources)
        raise UserError(f"no photo was found ({where}); check --root, or see `sketchprep sources`")
    return Listing(tuple(samples), tuple(refused))


def make(
    recipe: Recipe,
    sources: Sequence[Source],
    listing: Listing,
    *,
    before: pa.Table | None = None,
    jobs: int = 1,
    hashing: bool = True,
    hashed: Callable[[], Any] = lambda: None,
) -> pa.Table:
    """Make the plan of what `listing` offers beyond the samples that `before` holds.

    Photos are hashed, exact duplicates dropped (the first wins), annotations checked, and what is left is split by
    the rank of sha256(seed, id) or as the corpus says, then cut into shards.

    Parameters
    ----------
    before : pyarrow.Table, optional
        A plan to be extended: its samples are left out, but known to the search for duplicates.
    jobs : int
        Threads that read and hash.
    hashing : bool
        False opens no file: exact duplicates stay unknown.
    hashed : callable
        Called once a photo, for a progress bar.

    Returns
    -------
    pyarrow.Table
        `schema`'s columns, one row a listed sample, in planning order.
    """
    known = {} if before is None else _digest_owners(before)
    planned = set() if before is None else set(zip(column(before, "source"), column(before, "id"), strict=True))
    samples = [s for s in listing.samples if (s.source, s.id) not in planned]
    digests = hash_samples(samples, {s.name: s for s in sources}, jobs, hashed) if hashing else [None] * len(samples)
    drops = [_drop(recipe, s, d, known) for s, d in zip(samples, digests, strict=True)]
    kept = [i for i, drop in enumerate(drops) if drop is None]
    first = 0 if before is None else 1 + max((o for o in column(before, "ordinal") if o is not None), default=-1)
    splits = _splits(recipe, [samples[i] for i in kept])
    names = _shard_names(recipe, splits, {} if before is None else _shard_counts(before))
    rows = [_row(s, d, drop) for s, d, drop in zip(samples, digests, drops, strict=True)]
    for number, (i, split, shard) in enumerate(zip(kept, splits, names, strict=True)):
        rows[i] |= {"ordinal": first + number, "split": split, "shard": shard}
    rows += [_refused_row(f) for f in listing.refused if (f.source, f.id) not in planned]
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=schema())


def shards(plan: pa.Table) -> dict[str, ShardPlan]:
    """Group the planned samples by shard, sorted by the shard's name."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in plan.to_pylist():
        if row["shard"] is not None:
            groups.setdefault(row["shard"], []).append(row)
    return {name: _shard(name, groups[name]) for name in sorted(groups)}


def shards_in_order(plan: pa.Table) -> list[str]:
    """Names of the planned shards, sorted."""
    return sorted(set(column(plan, "shard")) - {None})


def shard_names(path: Path) -> list[str]:
    """Names of the shards planned in a ``plan.parquet``, sorted, reading that column alone."""
    import pyarrow.parquet as pq

    column_ = pq.read_table(path, columns=["shard"], read_dictionary=["shard"])["shard"]
    return sorted(set(column_.unique().to_pylist()) - {None})


def read_shards(path: Path, names: Collection[str]) -> dict[str, ShardPlan]:
    """Read only the given shards of a ``plan.parquet``, sorted by name."""
    import pyarrow.parquet as pq

    return shards(pq.read_table(path, filters=[("shard", "in", sorted(names))]))


def shards_of(plan: pa.Table, keys: Collection[tuple[str, str]]) -> list[str]:
    """Names of the shards that hold the given (source, id)."""
    columns = (column(plan, name) for name in ("source", "id", "shard"))
    return sorted({shard for source, id_, shard in zip(*columns, strict=True) if shard and (source, id_) in keys})


def failures(plan: pa.Table) -> list[Failure]:
    """Return the samples that planning dropped."""
    import pyarrow.compute as pc

    rows = plan.filter(pc.is_valid(plan["kind"])).select(["id", "source", "stage", "kind", "message", "rejected"])
    return [Failure(**row) for row in rows.to_pylist()]


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


def hash_samples(
    samples: Sequence[Sample], sources: dict[str, Source], jobs: int = 1, hashed: Callable[[], Any] = lambda: None
) -> list[str | None]:
    """Digest of every sample, None where it cannot be read: the shard will say why, and may be retried."""

    def digest(sample: Sample) -> str | None:
        try:
            return sources[sample.source].digest(sample)
        except SampleError:
            return None

    result = []
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for value in pool.map(digest, samples):
            result.append(value)
            hashed()
    return result


def _drop(recipe: Recipe, sample: Sample, digest: str | None, owners: dict[str, str]) -> Failure | None:
    """Why a sample is not planned, or None.  `owners` learns who had which bytes first."""
    from sketchprep.select import check_annotations

    if digest is not None:
        owner = owners.setdefault(digest, sample.id)
        if owner != sample.id:
            message = f"the same bytes as {owner!r}"
            return Failure(sample.id, sample.source, "plan", "duplicate", message, rejected=True)
    rules = recipe.select
    error = check_annotations(
        sample,
        exclude_attributes=rules.exclude_attributes,
        require_attributes=rules.require_attributes,
        pose_limits=rules.pose.limits,
    )
    if error is None:
        return None
    return Failure(sample.id, sample.source, "select", error.kind, error.message, rejected=error.rejected)


def _splits(recipe: Recipe, samples: Sequence[Sample]) -> list[str]:
    if recipe.split.method == "none":
        return ["train"] * len(samples)
    if recipe.split.method == "official":
        without = next((s for s in samples if s.split is None), None)
        if without is not None:
            raise UserError(
                f"split.method=official: {without.source} says no split for {without.id!r}; "
                "add the corpus' mapping file, or use --set split.method=share"
            )
        return [s.split or "train" for s in samples]
    count = recipe.split.test_count(len(samples))
    ranked = sorted(range(len(samples)), key=lambda i: (_rank(recipe.seed, samples[i].id), i))
    test = set(ranked[:count])
    return ["test" if i in test else "train" for i in range(len(samples))]


def _rank(seed: int, id_: str) -> bytes:
    return hashlib.sha256(f"{seed}:{id_}".encode()).digest()


def _shard_names(recipe: Recipe, splits: Iterable[str], shards_before: dict[str, int]) -> list[str]:
    """Shard of each kept sample: consecutive samples of a split fill shards of the recipe's size."""
    counts = dict.fromkeys(SPLITS, 0)
    names = []
    for split in splits:
        number = shards_before.get(split, 0) + counts[split] // recipe.shard_size
        names.append(f"{split}-{number:06d}")
        counts[split] += 1
    return names


def _shard_counts(plan: pa.Table) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in set(column(plan, "shard")) - {None}:
        split, number = name.rsplit("-", 1)
        counts[split] = max(counts.get(split, 0), int(number) + 1)
    return counts


def _digest_owners(plan: pa.Table) -> dict[str, str]:
    owners: dict[str, str] = {}
    for digest, id_ in zip(column(plan, "sha256"), column(plan, "id"), strict=True):
        if digest is not None:
            owners.setdefault(digest, id_)
    return owners


def column(table: pa.Table, name: str) -> list[Any]:
    """Return a column as a list."""
    return table[name].to_pylist()


def _row(sample: Sample, digest: str | None, drop: Failure | None) -> dict[str, Any]:
    return {
        "id": sample.id,
        "source": sample.source,
        "path": sample.path,
        "sketch_path": sample.sketch_path,
        "size": sample.size,
        "sha256": digest,
        "attributes": None if sample.attributes is None else list(sample.attributes),
        "pose": None if sample.pose is None else list(sample.pose),
        "stage": drop.stage if drop else None,
        "kind": drop.kind if drop else None,
        "message": drop.message if drop else None,
        "rejected": drop.rejected if drop else None,
    }


def _refused_row(failure: Failure) -> dict[str, Any]:
    """A thing met while listing that is no sample: it has no path, so that it never counts as a planned photo."""
    return {
        "id": failure.id,
        "source": failure.source,
        "path": None,
        "size": -1,
        "stage": failure.stage,
        "kind": failure.kind,
        "message": failure.message,
        "rejected": failure.rejected,
    }
