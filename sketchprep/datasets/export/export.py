"""Export a built dataset, or part of it, in the layout of another project."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core.workdir import Report, claim_output
from sketchprep.datasets import export as exporters
from sketchprep.datasets.schema import failure_schema
from sketchprep.errors import UserError
from sketchprep.io import shards

if TYPE_CHECKING:
    from sketchprep.datasets.reader import PairDataset
    from sketchprep.records import Failure

__all__ = ["LAYOUTS", "export"]

LAYOUTS = exporters.NAMES
MARKER = "export.json"
SMALLEST = 32


def export(
    data: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    split: str | None = None,
    size: int | None = None,
    limit: int | None = None,
    progress: Callable[[int, str], Any] | None = None,
) -> Report:
    """Write a dataset, or part of it, in the layout of another project.

    Files are named by the pair's ordinal; ``ids.csv`` or ``metadata.jsonl`` keeps the ids.  Stored bytes are copied
    where they fit.  Every file appears whole or not at all; running the same call again writes only what is missing.

    Parameters
    ----------
    data : path
        A built dataset.
    to : {"pix2pix", "pix2pixhd", "imagefolder", "controlnet", "apdrawing", "shards"}
        The layout; see `sketchprep.datasets.export`.
    out : path
        A new folder, or one begun by the same call.
    split : str, optional
        Only this split.
    size : int, optional
        Height and width of the pictures, at most the dataset's, which is the default.
    limit : int, optional
        At most so many pairs of each split.
    progress : callable, optional
        Given the number of pairs and a word, returns a bar with ``update`` and ``close``.

    Returns
    -------
    Report
        With the peer's training command.

    Raises
    ------
    UserError
        For a wrong argument, a dataset in another frame than the layout's, a folder that holds something else, or a
        full disk.
    """
    if to not in LAYOUTS:
        raise UserError(f"--to {to}: unknown; known: {', '.join(LAYOUTS)}")
    pairs, target = _open(Path(data), split), Path(out)
    numbers = _numbers(pairs, limit)
    layout = exporters.exporter(to)(pairs, numbers, target, _size(pairs, size))
    layout.check()
    settings = {"to": to, "size": layout.size, "split": split, "limit": limit, "data": _identity(pairs)}
    with claim_output(target, MARKER, settings) as held:
        display = progress(len(numbers), "exporting") if progress else None
        try:
            outcome = layout.run(display)
        finally:
            if display is not None:
                display.close()
        if to != "shards":
            _write_failures(target, outcome.failures)
        held.finish({"pairs": len(numbers) - len(outcome.failures), "failed": len(outcome.failures)})
    return Report(target, outcome.written, outcome.skipped, len(outcome.failures), layout.command(), layout.notes())


def _open(data: Path, split: str | None) -> PairDataset:
    from sketchprep.datasets.reader import open_pairs

    pairs = open_pairs(data, split)
    if not len(pairs):
        raise UserError(f"{data}: holds no pair; see `sketchprep failures {data}`")
    return pairs


def _size(pairs: PairDataset, size: int | None) -> int:
    if size is None:
        return pairs.size
    if not SMALLEST <= size <= pairs.size:
        raise UserError(f"--size {size}: choose {SMALLEST} to {pairs.size}, the dataset's own size")
    return size


def _numbers(pairs: PairDataset, limit: int | None) -> list[int]:
    """The pairs to take: the first `limit` of each split."""
    if limit is None:
        return list(range(len(pairs)))
    if limit < 1:
        raise UserError(f"--limit {limit}: must be at least 1")
    seen: Counter[str] = Counter()
    numbers = []
    for number, split in enumerate(pairs.table["split"].to_pylist()):
        seen[split] += 1
        if seen[split] <= limit:
            numbers.append(number)
    return numbers


def _identity(pairs: PairDataset) -> dict[str, Any]:
    from sketchprep.datasets.layout import read_recipe

    with (pairs.folder / "index.parquet").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"recipe": read_recipe(pairs.folder).get("hash"), "index_sha256": digest}


def _write_failures(out: Path, failures: list[Failure]) -> None:
    import pyarrow as pa

    path = out / "failures.parquet"
    if not failures:
        path.unlink(missing_ok=True)
        return
    schema = failure_schema()
    rows = [{name: getattr(failure, name) for name in schema.names} for failure in failures]
    shards.write_parquet(pa.Table.from_pylist(rows, schema=schema), path)
