"""Builds a plan out of core: rows in a temporary Parquet file, duplicates and splits by DuckDB."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.datasets import plan
from sketchprep.datasets.layout import SPLITS
from sketchprep.datasets.schema import FAILURE_COLUMNS, plan_schema
from sketchprep.errors import UserError
from sketchprep.io import query
from sketchprep.io.tables import tables
from sketchprep.records import Sample

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from sketchprep.datasets.build.near_duplicates import First, NearDuplicates
    from sketchprep.records import Failure
    from sketchprep.sketching.recipe import Recipe

__all__ = ["PlanBuilder"]

NO_SPLIT = 255
PLACE = "id, source, path, sketch_path"
# Samples whose digest an earlier one has, of the same plan or of one before it (n = -1).  Digests are grouped by their
# first eight bytes; whole ones are compared only within a group.
DUPLICATES = """
    WITH digests AS (
        SELECT -1 AS n, id, NULL AS kind, sha256 FROM before
        UNION ALL SELECT n, id, kind, sha256 FROM samples WHERE sha256 IS NOT NULL
    ), keyed AS (
        SELECT *, ('0x' || sha256[:16])::UBIGINT AS prefix FROM digests
    ), repeated AS (
        SELECT prefix FROM keyed GROUP BY prefix HAVING count(*) > 1
    )
    SELECT n, kind, first_value(id) OVER (PARTITION BY sha256 ORDER BY n) AS owner
    FROM keyed SEMI JOIN repeated USING (prefix) QUALIFY n >= 0 AND id <> owner ORDER BY n
"""
LOWEST_RANKS = """
    SELECT n FROM samples WHERE kind IS NULL AND split IS NULL AND n NOT IN (SELECT n FROM passed_over)
    ORDER BY sha256(concat($seed, ':', id)), n LIMIT $count
"""


class PlanBuilder:
    """Takes judged samples in planning order, then yields the plan's rows.

    Two bytes a sample stay in memory, eighteen where near-duplicates are looked for; the rows lie in a temporary
    Parquet file.

    Parameters
    ----------
    recipe : Recipe
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

    def __init__(self, recipe: Recipe, folder: Path | None = None, owners: Mapping[str, str] | None = None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._recipe, self._owners = recipe, dict(owners or {})
        self._kept: list[np.ndarray] = []
        self._official: list[np.ndarray] = []
        self._hashes: list[tuple[np.ndarray, np.ndarray]] = []
        self._splits = np.zeros(0, np.uint8)
        self._count = 0
        self._dropped: dict[int, tuple[str, str]] = {}
        self._alike: dict[int, First] = {}
        self._refused: list[Failure] = []
        self.reasons: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()
        self.bytes = 0
        self._folder = tempfile.TemporaryDirectory(prefix="sketchprep-plan-", dir=folder)
        self._path = Path(self._folder.name) / "samples.parquet"
        columns = [field for field in plan_schema() if field.name not in ("ordinal", "shard")]
        self._schema = pa.schema([*columns, ("n", pa.int64())])
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="lz4", use_dictionary=False)

    def add(self, batch: pa.Table) -> None:
        """Take samples: columns of a plan, in which ``split`` is one that holds; a column that is missing is null."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(batch):
            return
        codes = pc.fill_null(pc.index_in(batch["split"], value_set=pa.array(SPLITS, pa.string())), NO_SPLIT)
        self._official.append(codes.to_numpy().astype(np.uint8))
        self._kept.append(pc.is_null(batch["kind"]).to_numpy())
        self.reasons.update(kind for kind in batch["kind"].to_pylist() if kind is not None)
        self.lacking.update({name: batch[name].null_count for name in ("attributes", "pose")})
        self.bytes += int(pc.sum(pc.max_element_wise(batch["size"], 0)).as_py() or 0)
        numbers = pa.array(np.arange(self._count, self._count + len(batch)))
        if "phash" in batch.column_names:
            hashes = batch["phash"].combine_chunks()
            known = pc.is_valid(hashes).to_numpy(zero_copy_only=False)
            self._hashes.append((self._count + np.flatnonzero(known), hashes.drop_null().to_numpy()))
        for name in self._schema.names[:-1]:
            if name not in batch.column_names:
                batch = batch.append_column(name, pa.nulls(len(batch), self._schema.field(name).type))
        rows = batch.append_column("n", numbers).select(self._schema.names).cast(self._schema)
        self._writer.write_table(rows.combine_chunks(), row_group_size=len(rows))
        self._count += len(batch)

    def assign_splits(self, refused: Sequence[Failure] = (), near: NearDuplicates | None = None) -> None:
        """Find the duplicates and draw the splits, once all samples are there.

        Parameters
        ----------
        refused : sequence of Failure
            What came to light while listing.
        near : NearDuplicates, optional
            Looks for near-duplicates.

        Raises
        ------
        UserError
            If the recipe follows the corpus' splits and a sample has none.
        """
        self._writer.close()
        self._refused = list(refused)
        self.reasons.update(failure.kind for failure in refused)
        kept = np.concatenate([np.zeros(0, bool), *self._kept])
        with query.connect(Path(self._folder.name)) as connection:
            connection.read_parquet(str(self._path)).create_view("samples")
            self._find_duplicates(connection)
            kept[list(self._dropped)] = False
            if near is not None and self._hashes:
                self._find_alike(connection, near, kept)
            self._splits = self._drawn(connection, kept)

    def _find_duplicates(self, connection: duckdb.DuckDBPyConnection) -> None:
        import pyarrow as pa

        owners = {"sha256": list(self._owners), "id": list(self._owners.values())}
        connection.register("before", pa.table(owners, pa.schema([("sha256", pa.string()), ("id", pa.string())])))
        connection.execute(f"CREATE TABLE duplicates AS {DUPLICATES}")
        for n, kind, owner in connection.execute("SELECT n, kind, owner FROM duplicates").fetchall():
            self._dropped[n] = ("duplicate", f"the same bytes as {owner!r}")
            self.reasons[kind] -= kind is not None
            self.reasons["duplicate"] += 1
        self.reasons = +self.reasons
        self._owners = {}

    def _find_alike(self, connection: duckdb.DuckDBPyConnection, near: NearDuplicates, kept: np.ndarray) -> None:
        numbers, hashes = (np.concatenate(column) for column in zip(*self._hashes, strict=True))

        def sample(number: int) -> Sample:
            (row,) = connection.execute(f"SELECT {PLACE} FROM samples WHERE n = ?", [number]).fetchall()
            return Sample(**dict(zip(PLACE.split(", "), row, strict=True)))

        self._alike = near.find(numbers[kept[numbers]], hashes[kept[numbers]], sample)
        if self._recipe.split.near_duplicates == "drop":
            for number, first in self._alike.items():
                self._dropped[number] = ("near-duplicate", f"{first.id!r} shows the same, saved otherwise or mirrored")
            kept[list(self._alike)] = False
            self.reasons["near-duplicate"] += len(self._alike)

    def _drawn(self, connection: duckdb.DuckDBPyConnection, kept: np.ndarray) -> np.ndarray:
        """Split of every sample as a position in `SPLITS`, or NO_SPLIT where it is not kept."""
        method = self._recipe.split.method
        codes = np.where(kept, np.concatenate([np.zeros(0, np.uint8), *self._official]), np.uint8(NO_SPLIT))
        undecided = kept & (codes == NO_SPLIT)
        if method == "official":
            without = np.flatnonzero(undecided)
            if len(without):
                first = connection.execute("SELECT source, id FROM samples WHERE n = ?", [int(without[0])])
                source, id_ = first.fetchall()[0]
                raise UserError(
                    f"split.method=official: {source} says no split for {id_!r}; "
                    "add the corpus' mapping file, or use --set split.method=share"
                )
            return codes
        codes[undecided] = SPLITS.index("train")
        if method == "share":
            self._draw_test(connection, undecided, codes)
        return codes

    def _draw_test(self, connection: duckdb.DuckDBPyConnection, undecided: np.ndarray, codes: np.ndarray) -> None:
        """Draw the test photos in the order of their ranks; what shows the same as an earlier one goes with it."""
        import pyarrow as pa

        followers = {number: first for number, first in self._alike.items() if undecided[number]}
        sizes = Counter(first.number for first in followers.values())
        passed_over = pa.array([*self._dropped, *followers], pa.int64())
        connection.register("passed_over", pa.table({"n": passed_over}))
        left = self._recipe.split.test_count(int(undecided.sum()))
        values = {"seed": self._recipe.seed, "count": left + len(followers)}
        for number in connection.execute(LOWEST_RANKS, values).fetchnumpy()["n"].tolist():
            if 1 + sizes[number] <= left:
                codes[number] = SPLITS.index("test")
                left -= 1 + sizes[number]
        for number, first in followers.items():
            codes[number] = SPLITS.index(first.split) if first.number is None else codes[first.number]

    def split_counts(self) -> dict[str, int]:
        """Planned photos of every split that has any."""
        counts = np.bincount(self._splits, minlength=len(SPLITS))
        return {name: int(n) for name, n in zip(SPLITS, counts, strict=False) if n}

    def shard_names(self) -> list[str]:
        """Names of the shards of a plan that extends no other, sorted."""
        size = self._recipe.shard_size
        return sorted(f"{s}-{n:06d}" for s, count in self.split_counts().items() for n in range(-(-count // size)))

    def failures(self) -> Iterator[pa.Table]:
        """Yield the rows of `tables` that are not planned, if there are any."""
        for table in self.tables() if self.reasons else ():
            yield from plan.failure_tables(table)

    def tables(self, first: int = 0, shards_before: Mapping[str, int] | None = None) -> Iterator[pa.Table]:
        """Yield the plan's rows, in the batches that came, samples before what was refused.

        Parameters
        ----------
        first : int
            Ordinal of the first planned sample.
        shards_before : mapping, optional
            Number of shards that each split has already.
        """
        import pyarrow as pa

        numbering = _Numbering(self._recipe.shard_size, first, shards_before or {})
        at = 0
        for batch in tables(self._path) if self._count else ():
            columns = {name: batch[name] for name in batch.column_names}
            columns |= self._found(batch, at) | numbering.columns(self._splits[at : at + len(batch)])
            at += len(batch)
            yield pa.table({name: columns[name] for name in plan_schema().names}, schema=plan_schema())
        if self._refused:
            yield pa.Table.from_pylist([_refused_row(failure) for failure in self._refused], schema=plan_schema())

    def _found(self, batch: pa.Table, at: int) -> dict[str, Any]:
        """Columns of a batch in which duplicates and near-duplicates leave their trace."""
        import pyarrow as pa

        numbers = range(at, at + len(batch))
        if self._dropped.keys().isdisjoint(numbers) and self._alike.keys().isdisjoint(numbers):
            return {}
        columns = {name: batch[name].to_pylist() for name in FAILURE_COLUMNS}
        columns["alike"] = [self._alike[n].id if n in self._alike else None for n in numbers]
        for n in numbers:
            if n in self._dropped:
                for name, value in zip(FAILURE_COLUMNS, ("plan", *self._dropped[n], True), strict=True):
                    columns[name][n - at] = value
        return {name: pa.array(values, plan_schema().field(name).type) for name, values in columns.items()}

    def close(self) -> None:
        """Remove the temporary file."""
        self._writer.close()
        self._folder.cleanup()

    def __enter__(self) -> PlanBuilder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Numbering:
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
