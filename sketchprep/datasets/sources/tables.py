"""Samples as Arrow tables, and tables as samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sketchprep.datasets.schema import sample_schema
from sketchprep.records import Sample

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BATCH_ROWS", "batches_of", "samples_of"]

BATCH_ROWS = 16_384


def batches_of(samples: Sequence[Sample]) -> Iterator[pa.Table]:
    """Yield samples in batches, in their order."""
    import pyarrow as pa

    names = [name for name in sample_schema().names if name != "sha256"]
    for at in range(0, len(samples), BATCH_ROWS):
        rows = samples[at : at + BATCH_ROWS]
        columns = {name: [getattr(sample, name) for sample in rows] for name in names}
        yield pa.table({**columns, "sha256": [None] * len(rows)}, schema=sample_schema())


def samples_of(batch: pa.Table) -> list[Sample]:
    """Return the rows of a batch, or of a plan, as samples; a column that is not there has its default."""
    names = [name for name in sample_schema().names if name != "sha256" and name in batch.column_names]
    return [
        Sample(**{**row, "attributes": _tuple(row.get("attributes")), "pose": _tuple(row.get("pose"))})
        for row in batch.select(names).to_pylist()
    ]


def _tuple(values: list | None) -> tuple | None:
    return None if values is None else tuple(values)
