"""Parquet schemas of a dataset: samples, plan, shard rows, index and failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.io.table_kinds import Kind

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FAILURES",
    "FAILURE_COLUMNS",
    "INDEX",
    "PLAN",
    "PLANNED",
    "SHARD",
    "failure_schema",
    "failures_of",
    "index_schema",
    "pairs_of",
    "plan_schema",
    "sample_schema",
    "shard_schema",
    "shard_table",
]

# Columns of a shard row that are null for a pair.
FAILURE_COLUMNS = ("stage", "kind", "message", "rejected")


def sample_schema() -> pa.Schema:
    """Columns of a batch that a source lists: the fields of `Sample`, and ``sha256`` where it is known already."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("id", text),
            ("source", text),
            ("path", text),
            ("sketch_path", text),
            ("size", pa.int64()),
            ("sha256", text),
            ("attributes", pa.list_(text)),
            ("pose", pa.list_(pa.float64(), 3)),
            ("split", text),
        ]
    )


def plan_schema() -> pa.Schema:
    """Columns of ``plan.parquet``; a sample that was dropped has no ordinal and no shard, but a kind and a message.

    ``sha256`` is null where a photo was not opened for the plan: because it could not be, or because it stands on a
    list.  Its shard then takes the bytes that it finds.  ``phash`` is the perceptual hash where near-duplicates were
    looked for, and ``alike`` the id of the first photo that shows the same, see
    `sketchprep.datasets.build.near_duplicates`.
    """
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
            ("phash", pa.uint64()),
            ("alike", text),
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


def shard_schema() -> pa.Schema:
    """Columns of a shard's Parquet file: pairs, and photos that became none, in the plan's order.

    ``landmarks`` are 68 (x, y) pairs in pixels of the frame, one after the other; ``face_score`` is the evidence that
    they are a face's (`sketchprep.sketching.face_evidence`); ``unseen`` are features that the photo does not show;
    ``pose`` is (yaw, pitch, roll) in degrees; ``matrix`` maps homogeneous photo pixels to the frame, row by row;
    ``windows`` are DeepFaceDrawing's.
    """
    import pyarrow as pa

    text, int64 = pa.string(), pa.int64()
    member = pa.struct([("name", text), ("offset", int64), ("size", int64), ("sha256", text)])
    window = pa.struct([("part", text), *((n, pa.int32()) for n in ("x", "y", "width", "height"))])
    return pa.schema(
        [
            ("ordinal", int64),
            ("id", text),
            ("source", text),
            ("split", text),
            ("shard", text),
            ("members", pa.list_(member)),
            ("sha256", text),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("matrix", pa.list_(pa.float64(), 6)),
            ("landmarks", pa.list_(pa.float32(), 136)),
            ("face_score", pa.float32()),
            ("unseen", pa.list_(text)),
            ("pose", pa.list_(pa.float32(), 3)),
            ("attributes", pa.list_(text)),
            ("windows", pa.list_(window)),
            ("stage", text),
            ("kind", text),
            ("message", text),
            ("rejected", pa.bool_()),
        ]
    )


def index_schema() -> pa.Schema:
    """Columns of ``index.parquet``, which holds pairs only: those of a shard but for `FAILURE_COLUMNS`."""
    import pyarrow as pa

    return pa.schema([column for column in shard_schema() if column.name not in FAILURE_COLUMNS])


def failure_schema() -> pa.Schema:
    """Columns of ``failures.parquet``."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema([(n, text) for n in ("id", "source", "stage", "kind", "message")] + [("rejected", pa.bool_())])


def shard_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Arrow table of shard rows."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema=shard_schema())


def pairs_of(rows: pa.Table, path: Path) -> pa.Table:
    """The pairs among a shard's rows, in the columns of the index."""
    import pyarrow.compute as pc

    return _PAIRS.checked(rows.filter(pc.is_null(rows["kind"])), path)


def failures_of(rows: pa.Table, path: Path) -> pa.Table:
    """What became no pair among a shard's rows, in the columns of ``failures.parquet``."""
    import pyarrow.compute as pc

    return _FAILED.checked(rows.filter(pc.is_valid(rows["kind"])), path)


# The last argument of a kind names the columns that were added since: older datasets are read without them.
_AGAIN = "delete it and run the same build command: "
PLAN = Kind(plan_schema, ("id", "source"), "build into a new folder with -o", ("phash", "alike"))
PLANNED = Kind(plan_schema, ("ordinal", "id", "source", "path", "size", "split", "shard"), PLAN.remedy, PLAN.added)
SHARD = Kind(shard_schema, ("id", "source"), f"{_AGAIN}the shard is made again", ("face_score", "unseen"))
INDEX = Kind(
    index_schema,
    ("ordinal", "id", "source", "split", "shard", "members"),
    f"{_AGAIN}it is merged again",
    SHARD.added,
)
FAILURES = Kind(failure_schema, ("id", "source", "stage", "kind", "message", "rejected"), f"{_AGAIN}it is merged again")
_PAIRS = Kind(index_schema, INDEX.filled, SHARD.remedy, SHARD.added)
_FAILED = Kind(failure_schema, FAILURES.filled, SHARD.remedy)
