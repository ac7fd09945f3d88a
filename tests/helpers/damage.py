"""Seeded damage to files: bytes, Parquet tables and YAML."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**31 - 1, -(2**63), 2**63 - 1, 10**30, 1e308, float("nan"), float("inf"), "", "x", "é\n",
    "../../x", "train-000000", "9" * 400, [], {}, [None], {"a": 1}, [[]], b"\xff", "2020-01-01",
)  # fmt: skip


def damage_bytes(path: Path, rng: random.Random) -> None:
    """Cut, empty, overwrite or flip bytes of a file."""
    data = bytearray(path.read_bytes())
    kind = rng.randrange(5)
    if kind == 0:
        data = data[: rng.randrange(len(data))]
    elif kind == 1:
        data = bytearray(rng.randbytes(rng.choice((0, 3, 100))))
    elif kind == 2:
        at = rng.randrange(len(data))
        data[at : at + 64] = bytes(64)
    else:
        for _ in range(rng.choice((1, 3, 30))):
            data[rng.randrange(len(data)) if kind == 3 else -rng.randrange(1, min(2000, len(data)))] ^= (
                1 << rng.randrange(8)
            )
    path.write_bytes(data)


def damage_table(path: Path, rng: random.Random) -> None:
    """Drop, rename, retype or overwrite columns, rows, values or notes of a Parquet file."""
    table = pq.read_table(path)
    change = rng.choice((_drop, _rename, _retype, _value, _value, _value, _value, _rows, _notes))
    pq.write_table(change(table, rng), path)


def _drop(table: pa.Table, rng: random.Random) -> pa.Table:
    return table.drop_columns([rng.choice(table.column_names)])


def _rename(table: pa.Table, rng: random.Random) -> pa.Table:
    names = table.column_names
    names[rng.randrange(len(names))] = rng.choice(["x", names[0], "kind"])
    return table.rename_columns(names)


def _retype(table: pa.Table, rng: random.Random) -> pa.Table:
    at, count = rng.randrange(table.num_columns), len(table)
    columns = (
        pa.nulls(count), pa.array(range(count), pa.int64()), pa.array(["x"] * count), pa.array([b"\xff"] * count),
        pa.array([[1]] * count, pa.list_(pa.int64())), pa.array([0.5] * count), pa.array([{"a": None}] * count),
    )  # fmt: skip
    return table.set_column(at, table.column_names[at], rng.choice(columns))


def _value(table: pa.Table, rng: random.Random) -> pa.Table:
    """Put an odd value of the right type somewhere."""
    at = rng.randrange(table.num_columns)
    field, values = table.schema.field(at), table.column(at).to_pylist()
    for _ in range(20):
        changed = list(values)
        if not changed:
            return table
        row = rng.randrange(len(changed))
        changed[row] = _inside(changed[row], rng)
        try:
            return table.set_column(at, field, pa.array(changed, field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
    return table


def _inside(value: Any, rng: random.Random) -> Any:
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], _inside(value[at], rng), *value[at + 1 :]]
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        return {**value, key: _inside(value[key], rng)}
    return rng.choice(ODD)


def _rows(table: pa.Table, rng: random.Random) -> pa.Table:
    count = len(table)
    numbers = rng.choice(([], list(range(count))[::-1], [0] * count, list(range(count - 1)), [*range(count), 0]))
    return table.take(pa.array(numbers, pa.int64())) if count else table


def _notes(table: pa.Table, rng: random.Random) -> pa.Table:
    notes = rng.choice(
        (b"", b"x", b"[]", b"{}", b'{"photos": "x"}', b'{"photos": -1, "pairs": 2, "tar_bytes": 1}', b"\xff")
    )
    return table.replace_schema_metadata({b"sketchprep": notes})


def damage_yaml(path: Path, rng: random.Random) -> None:
    """Put an odd value somewhere into a YAML file, or a text that YAML's own constructors fall over."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    odd = rng.choice(
        ("9" * 5000, "0x" + "f" * 5000, "!!set {a}", "2020-13-45", "&a [*a]", "!!python/name:os.system", "1_", "? [a]")
    )
    text = yaml.safe_dump(_inside(values, rng), allow_unicode=True)
    if rng.random() < 0.3:
        lines = text.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = f"{lines[at].partition(':')[0]}: {odd}"
        text = "\n".join(lines)
    path.write_text(text, encoding="utf-8")


def damages(path: Path) -> list[Callable[[Path, random.Random], None]]:
    """The kinds of damage that a file can take."""
    known = {".yaml": [damage_bytes, damage_yaml], ".parquet": [damage_bytes, damage_table, damage_table]}
    return known.get(path.suffix, [damage_bytes])
