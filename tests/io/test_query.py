"""DuckDB as the package uses it: a fixed order, and more rows than its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from sketchprep.io.query import connect


def test_a_sort_larger_than_memory_spills_into_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).permutation(400_000)
    rows = pa.table({"path": [f"some/rather/long/folder/é{n:07d}.jpg" for n in numbers.tolist()]})
    most = 0
    with connect(tmp_path, memory="30MB") as database:
        database.register("rows", rows)
        database.execute("CREATE TABLE listed AS FROM rows")
        first = 0
        for batch in database.sql("SELECT * FROM listed ORDER BY path").to_arrow_reader(10_000):
            names = batch["path"].to_pylist()
            assert names == [f"some/rather/long/folder/é{n:07d}.jpg" for n in range(first, first + len(names))]
            first += len(names)
            most = max(most, sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
    assert first == 400_000
    assert most > 0
    assert not list(tmp_path.iterdir())


def test_text_sorts_by_its_bytes_as_in_python() -> None:
    names = ["b", "a", "B", "é", "z", "", "aa", "😀", "\uffff", "ä"]
    with connect() as database:
        database.register("rows", pa.table({"name": names}))
        ordered = database.sql("SELECT name FROM rows ORDER BY name").to_arrow_table()
    assert ordered["name"].to_pylist() == sorted(names)
