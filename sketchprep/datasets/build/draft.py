"""A plan in the making: samples on the disk, and of each the few bytes that decide on duplicates and splits."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.datasets.layout import SPLITS
from sketchprep.datasets.schema import plan_schema
from sketchprep.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.records import Failure
    from sketchprep.sketching.recipe import Recipe

__all__ = ["Draft", "repeated"]

NO_SPLIT = 255
REASON = ("stage", "kind", "message", "rejected")


class Draft:
    """Takes judged samples in planning order, then gives out the plan's rows.

    Eight bytes of every digest and of every rank stay in memory; the rows lie in a file without a name.

    Parameters
    ----------
    recipe : Recipe
    count : int
        Samples that can come at most.
    folder : Path, optional
        On whose disk the rows are kept meanwhile; default the system's place for temporary files.
    owners : mapping, optional
        Digest to id of photos planned before: the same bytes again are duplicates.

    Attributes
    ----------
    reasons : Counter
        Kind of failure to number of samples that are not planned.
    lacking : Counter
        ``"attributes"`` and ``"pose"`` to number of samples without.
    bytes : int
        Of all photos whose size is known.
    """

    def __init__(
        self, recipe: Recipe, count: int, folder: Path | None = None, owners: Mapping[str, str] | None = None
    ) -> None:
        import pyarrow as pa

        self._recipe, self._owners = recipe, dict(owners or {})
        self._heads = np.zeros(count, np.uint64)
        self._ranks = np.zeros(count if recipe.split.method == "share" else 0, np.uint64)
        self._splits = np.full(count, NO_SPLIT, np.uint8)
        self._kept = np.zeros(count, bool)
        self._count = 0
        self._duplicates: dict[int, str] = {}
        self._refused: list[Failure] = []
        self.reasons: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()
        self.bytes = 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        names = set(plan_schema().names) - {"ordinal", "shard"}
        self._schema = pa.schema([field for field in plan_schema() if field.name in names])
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer: Any = pa.ipc.new_stream(pa.PythonFile(self._file, "w"), self._schema, options=options)

    def add(self, batch: pa.Table) -> None:
        """Take samples: columns of a plan without ordinal and shard; ``split`` is the corpus' own."""
        import pyarrow.compute as pc

        at = slice(self._count, self._count + len(batch))
        if batch["sha256"].null_count < len(batch):
            digests = batch["sha256"].to_pylist()
            self._heads[at] = [0 if digest is None else int(digest[:16], 16) for digest in digests]
        if len(self._ranks):
            self._ranks[at] = _ranks(self._recipe.seed, batch["id"].to_pylist())
        if batch["split"].null_count < len(batch):
            codes = pc.index_in(batch["split"], value_set=_split_names())
            self._splits[at] = pc.fill_null(codes, NO_SPLIT).to_numpy().astype(np.uint8)
        self._kept[at] = pc.is_null(batch["kind"]).to_numpy()
        self.reasons.update(kind for kind in batch["kind"].to_pylist() if kind is not None)
        self.lacking.update({name: batch[name].null_count for name in ("attributes", "pose")})
        self.bytes += int(pc.sum(pc.max_element_wise(batch["size"], 0)).as_py() or 0)
        self._writer.write_table(batch.select(self._schema.names).cast(self._schema).combine_chunks())
        self._count += len(batch)

    def settle(self, refused: Sequence[Failure] = ()) -> None:
        """Find the duplicates and draw the splits: all samples are there, `refused` came to light while listing."""
        self._writer.close()
        for name in ("_heads", "_ranks", "_splits", "_kept"):
            setattr(self, name, getattr(self, name)[: self._count])
        self._refused = list(refused)
        self.reasons.update(failure.kind for failure in refused)
        self._find_duplicates()
        self._heads = np.zeros(0, np.uint64)
        self._splits = self._drawn()
        self._ranks = np.zeros(0, np.uint64)

    def split_counts(self) -> dict[str, int]:
        """Planned photos of every split that has any."""
        found = np.bincount(self._splits, minlength=len(SPLITS))
        return {name: int(n) for name, n in zip(SPLITS, found, strict=False) if n}

    def shard_names(self) -> list[str]:
        """Names of the shards of a plan that extends no other, sorted."""
        size = self._recipe.shard_size
        return sorted(f"{s}-{n:06d}" for s, count in self.split_counts().items() for n in range(-(-count // size)))

    def tables(self, first: int = 0, shards_before: Mapping[str, int] | None = None) -> Iterator[pa.Table]:
        """Yield the plan's rows, samples before what was refused.

        Parameters
        ----------
        first : int
            Ordinal of the first planned sample.
        shards_before : mapping, optional
            Number of shards that each split has already.
        """
        import pyarrow as pa

        numbers = Numbers(self._recipe.shard_size, first, shards_before or {})
        at = 0
        for batch in self._rows():
            codes = self._splits[at : at + len(batch)]
            columns = {name: batch[name] for name in batch.column_names}
            columns |= self._reasons(batch, at) | numbers.columns(codes)
            at += len(batch)
            yield pa.table({name: columns[name] for name in plan_schema().names}, schema=plan_schema())
        if self._refused:
            yield pa.Table.from_pylist([_refused_row(failure) for failure in self._refused], schema=plan_schema())

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        self._file.seek(0)
        for batch in pa.ipc.open_stream(pa.PythonFile(self._file, "r")):
            yield pa.Table.from_batches([batch])

    def _row(self, position: int) -> dict[str, Any]:
        at = 0
        for batch in self._rows():
            if position < at + len(batch):
                return batch.slice(position - at, 1).to_pylist()[0]
            at += len(batch)
        raise IndexError(position)

    def _find_duplicates(self) -> None:
        """Samples whose digest an earlier one has; only where the heads are equal are whole digests looked at."""
        before = np.fromiter((int(digest[:16], 16) for digest in self._owners), np.uint64)
        values = repeated(np.concatenate([self._heads[self._heads > 0], before]))
        if not len(values):
            return
        at = 0
        for batch in self._rows():
            heads = self._heads[at : at + len(batch)]
            near = np.minimum(np.searchsorted(values, heads), len(values) - 1)
            positions = np.flatnonzero((values[near] == heads) & (heads > 0))
            for offset, row in zip(positions, batch.take(positions).to_pylist(), strict=True):
                owner = self._owners.setdefault(row["sha256"], row["id"])
                if owner != row["id"]:
                    self._duplicates[at + int(offset)] = owner
                    self.reasons[row["kind"]] -= row["kind"] is not None
                    self.reasons["duplicate"] += 1
            at += len(batch)
        self._kept[list(self._duplicates)] = False
        self.reasons = +self.reasons
        self._owners = {}

    def _drawn(self) -> np.ndarray:
        """Split of every sample as a position in `SPLITS`, or NO_SPLIT where it is not kept."""
        method, kept = self._recipe.split.method, self._kept
        codes = np.where(kept, np.uint8(0), np.uint8(NO_SPLIT))
        if method == "official":
            without = np.flatnonzero(kept & (self._splits == NO_SPLIT))
            if len(without):
                row = self._row(int(without[0]))
                raise UserError(
                    f"split.method=official: {row['source']} says no split for {row['id']!r}; "
                    "add the corpus' mapping file, or use --set split.method=share"
                )
            codes = np.where(kept, self._splits, np.uint8(NO_SPLIT))
        elif method == "share":
            count = self._recipe.split.test_count(int(kept.sum()))
            codes[self._first_ranks(count)] = SPLITS.index("test")
        return codes

    def _first_ranks(self, count: int) -> np.ndarray:
        """Positions of the kept samples with the smallest ranks; of equal ones, the first."""
        if not count:
            return np.zeros(0, np.int64)
        limit = np.partition(self._ranks[self._kept], count - 1)[count - 1]
        below = np.flatnonzero(self._kept & (self._ranks < limit))
        equal = np.flatnonzero(self._kept & (self._ranks == limit))
        left = count - len(below)
        if len(equal) > left:  # the same id in two sources, or (once in a blue moon) eight equal bytes
            equal = np.array(sorted(equal, key=lambda at: (_rank(self._recipe.seed, self._row(int(at))["id"]), at)))
        return np.concatenate([below, equal[:left]])

    def _reasons(self, batch: pa.Table, at: int) -> dict[str, Any]:
        import pyarrow as pa

        found = [n for n in range(len(batch)) if at + n in self._duplicates] if self._duplicates else []
        if not found:
            return {}
        columns = {name: batch[name].to_pylist() for name in REASON}
        for n in found:
            values = ("plan", "duplicate", f"the same bytes as {self._duplicates[at + n]!r}", True)
            for name, value in zip(REASON, values, strict=True):
                columns[name][n] = value
        return {name: pa.array(values, plan_schema().field(name).type) for name, values in columns.items()}


class Numbers:
    """Counts through ordinals and shards: consecutive samples of a split fill shards of the recipe's size."""

    def __init__(self, shard_size: int, first: int, shards_before: Mapping[str, int]) -> None:
        self._size, self._next, self._before = shard_size, first, shards_before
        self._counts = dict.fromkeys(SPLITS, 0)

    def columns(self, codes: np.ndarray) -> dict[str, pa.Array]:
        """Ordinal, split and shard of the next samples."""
        import pyarrow as pa

        kept = codes != NO_SPLIT
        ordinals = self._next + np.cumsum(kept) - 1
        self._next += int(kept.sum())
        names = np.full(len(codes), None, object)
        for code, split in enumerate(SPLITS):
            inside = np.flatnonzero(codes == code)
            if len(inside):
                numbers = self._before.get(split, 0) + (self._counts[split] + np.arange(len(inside))) // self._size
                known = np.array([f"{split}-{n:06d}" for n in range(numbers[0], numbers[-1] + 1)], object)
                names[inside] = known[numbers - numbers[0]]
                self._counts[split] += len(inside)
        splits = np.array([*SPLITS, None], object)[np.minimum(codes, len(SPLITS))]
        return {
            "ordinal": pa.array(ordinals, pa.int64(), mask=~kept),
            "split": pa.array(splits, pa.string()),
            "shard": pa.array(names, pa.string()),
        }


def _split_names() -> pa.Array:
    import pyarrow as pa

    return pa.array(SPLITS, pa.string())


def _rank(seed: int, id_: str) -> bytes:
    return hashlib.sha256(f"{seed}:{id_}".encode()).digest()


def _ranks(seed: int, ids: Sequence[str]) -> np.ndarray:
    return np.frombuffer(b"".join([_rank(seed, id_)[:8] for id_ in ids]), ">u8").astype(np.uint64)


def repeated(heads: np.ndarray) -> np.ndarray:
    """Values that occur more than once, in order."""
    heads.sort()
    return np.unique(heads[1:][heads[1:] == heads[:-1]])


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
