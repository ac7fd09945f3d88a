"""Tables that are too long to hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sketchprep.io.tables import mapped, spread_rows


@pytest.fixture
def long(tmp_path: Path) -> tuple[Path, pa.Table]:
    rows = pa.table({"number": range(1000), "text": [None if n % 7 == 0 else f"row {n}" for n in range(1000)]})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=64)
    return tmp_path / "rows.parquet", rows


def test_a_mapped_table_has_the_rows_and_is_copied_once(long: tuple[Path, pa.Table], tmp_path: Path) -> None:
    path, rows = long
    copy = tmp_path / "cache" / "rows.arrow"
    allocated = pa.total_allocated_bytes()
    table = mapped(path, copy)
    assert pa.total_allocated_bytes() - allocated < rows.nbytes / 10
    assert table.equals(rows)
    made = copy.stat().st_mtime_ns
    assert mapped(path, copy).slice(517, 1).to_pylist() == [{"number": 517, "text": "row 517"}]
    assert copy.stat().st_mtime_ns == made
    assert [entry.name for entry in copy.parent.iterdir()] == ["rows.arrow"]


@pytest.mark.parametrize("count", [1, 2, 5, 1000, 3000])
def test_spread_rows_reach_from_the_first_to_the_last(long: tuple[Path, pa.Table], count: int) -> None:
    numbers = spread_rows(long[0], count)["number"].to_pylist()
    assert len(numbers) == min(count, 1000)
    assert numbers[0] == 0
    assert count == 1 or numbers[-1] == 999
    assert numbers == sorted(set(numbers))
