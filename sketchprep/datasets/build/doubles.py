"""The same photo twice where planning opened none: found when the shards are merged, by their digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.io.tables import tables

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["find", "mark", "merged"]

STAGE = "merge"


def find(out: Path, planned: pa.Table | Path, names: Sequence[str]) -> dict[int, str]:
    """Pairs whose bytes an earlier one has: ordinal to the id of that one.

    Parameters
    ----------
    out : Path
        The dataset; all its shards are there.
    planned : pyarrow.Table or Path
        Its plan; if that knows every digest, it knows the duplicates too, and nothing is read.
    names : sequence of str
        The shards.
    """
    import numpy as np

    from sketchprep.datasets.build.draft import repeated

    if not _unknown(planned):
        return {}
    heads = [_heads(_pairs(out, name)["sha256"]) for name in names]
    values = repeated(np.concatenate([np.zeros(0, np.uint64), *heads]))
    if not len(values):
        return {}
    first: dict[str, tuple[int, str]] = {}
    found: list[tuple[str, int]] = []
    for name, own in zip(names, heads, strict=True):
        near = np.minimum(np.searchsorted(values, own), len(values) - 1)
        positions = np.flatnonzero(values[near] == own)
        if len(positions):
            for row in _pairs(out, name, "id", "ordinal").take(positions).to_pylist():
                found.append((row["sha256"], row["ordinal"]))
                entry = (row["ordinal"], row["id"])
                first[row["sha256"]] = min(first.get(row["sha256"], entry), entry)
    return {ordinal: first[digest][1] for digest, ordinal in found if ordinal != first[digest][0]}


def mark(rows: pa.Table, late: Mapping[int, str]) -> pa.Table:
    """Turn the pairs of a shard that are duplicates into failures."""
    import pyarrow as pa

    if not late:
        return rows
    ordinals = rows["ordinal"].to_pylist()
    if late.keys().isdisjoint(ordinals):
        return rows
    owners = [late.get(ordinal) for ordinal in ordinals]
    for name in ("stage", "kind", "message", "rejected"):
        at = rows.column_names.index(name)
        values: list[Any] = rows[name].to_pylist()
        for number, owner in enumerate(owners):
            if owner is not None:
                message = f"the same bytes as {owner!r}"
                values[number] = {"stage": STAGE, "kind": "duplicate", "message": message, "rejected": True}[name]
        rows = rows.set_column(at, name, pa.array(values, rows.schema.field(name).type))
    return rows


def merged(out: Path) -> int:
    """Number of pairs that the last merge left out of the index as duplicates."""
    import pyarrow.compute as pc

    path = out / "failures.parquet"
    if not path.is_file():
        return 0
    return sum(pc.sum(pc.equal(table["stage"], STAGE)).as_py() or 0 for table in tables(path, ["stage"]))


def _unknown(planned: pa.Table | Path) -> bool:
    """Whether the plan lacks the digest of any photo that it gave to a shard."""
    import pyarrow.compute as pc

    return any(
        pc.any(pc.and_(pc.is_null(table["sha256"]), pc.is_valid(table["shard"]))).as_py()
        for table in tables(planned, ["sha256", "shard"])
        if table["sha256"].null_count
    )


def _pairs(out: Path, name: str, *columns: str) -> pa.Table:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(out / "shards" / f"{name}.parquet") as file:
        rows = file.read(columns=["sha256", "kind", *columns], use_threads=False)
    return rows.filter(pc.is_null(rows["kind"]))


def _heads(digests: pa.ChunkedArray) -> np.ndarray:
    import numpy as np

    return np.fromiter((int(digest[:16], 16) for digest in digests.to_pylist()), np.uint64, len(digests))
