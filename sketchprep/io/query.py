"""DuckDB over Arrow tables and Parquet files: sorts, joins and groups of more rows than memory holds."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["MEMORY", "connect"]

MEMORY = "400MB"


@contextlib.contextmanager
def connect(folder: Path | None = None, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that spills to disk beyond a memory limit, and runs on one thread.

    One thread keeps the order of rows that a query does not sort, and takes no cores from workers beside it.  Text
    sorts by its UTF-8 bytes, as in Arrow and in Python.

    Parameters
    ----------
    folder : Path, optional
        On whose disk it spills; default the system's place for temporary files.
    memory : str
        The limit, for instance ``"400MB"``; what the caller fetches comes on top.

    Yields
    ------
    duckdb.DuckDBPyConnection
    """
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="sketchprep-query-", dir=folder) as spill,
        duckdb.connect(config={"threads": 1, "memory_limit": memory, "temp_directory": spill}) as connection,
    ):
        connection.execute("SET enable_progress_bar = false")
        yield connection
