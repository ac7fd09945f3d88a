"""What the last merge saw, kept in ``log/`` so that nobody has to ask ten thousand shards again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.datasets.build.merge import UNMERGED, Totals
from sketchprep.io import tables
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["failures", "read", "write"]

FILE = Path("log") / "merged"


def write(out: Path, totals: Totals, seconds: Mapping[str, float], measured: int) -> None:
    """Keep the sums; a dataset is none the worse without them."""
    values = {
        "pairs": totals.pairs,
        "bytes": totals.bytes,
        "failed": totals.failed,
        "failures": [[rejected, kind, count] for (rejected, kind), count in totals.failures.items()],
        "seconds": dict(seconds),
        "measured": measured,
    }
    (out / "log").mkdir(exist_ok=True)
    with atomic(out / FILE) as temporary:
        temporary.write_text(json.dumps(values))


def read(out: Path) -> tuple[Totals, dict[str, float], int] | None:
    """The sums, the seconds by stage and the photos that these cover; None if there is no merge or it is outdated."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        values = json.loads((out / FILE).read_text())
        if (out / UNMERGED).exists() or tables.rows_of(out / "index.parquet") != values["pairs"]:
            return None
        totals = Totals(values["pairs"], values["bytes"], failed=values["failed"])
        totals.failures.update({(rejected, kind): count for rejected, kind, count in values["failures"]})
        return totals, dict(values["seconds"]), int(values["measured"])
    return None


def failures(out: Path) -> Iterator[pa.Table] | None:
    """``failures.parquet`` in pieces, if it tells of all there is."""
    path = out / "failures.parquet"
    return tables.tables(path) if path.is_file() and read(out) is not None else None
