"""Parsers of CelebAMask-HQ's text files: attributes, poses, and the mapping to CelebA that carries the official split.

Every malformed line is an error that names the file and the line; rows of photos that are not there are checked and
counted but not kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sketchprep.errors import UserError

__all__ = ["Table", "parse_attributes", "parse_mapping", "parse_poses"]

Value = TypeVar("Value")
_FILE = re.compile(r"(\d{1,9})\.(?:jpg|jpeg|png)")
_TRAIN_END, _VAL_END = 162_771, 182_638


@dataclass(slots=True)
class Table(Generic[Value]):
    """Rows by photo number, for the photos that were asked for, and the number of all rows in the file."""

    rows: dict[int, Value] = field(default_factory=dict)
    total: int = 0


def parse_attributes(data: bytes, file: str, wanted: Collection[int]) -> tuple[tuple[str, ...], Table[tuple[str, ...]]]:
    """Parse ``CelebAMask-HQ-attribute-anno.txt``: a count, the names, then ``0.jpg  1 -1 …`` a photo.

    Returns
    -------
    names : tuple of str
        In the file's order.
    table : Table
        Number to the sorted names that are true (1) of the photo.

    Raises
    ------
    UserError
        With file and line number.
    """
    lines = _lines(data, file)
    count = _count(lines, file)
    _, header = next(lines, (0, []))
    if not header or len(set(header)) != len(header) or any(_FILE.fullmatch(name) for name in header):
        raise UserError(f"{file}, line 2: expected the names of the attributes, each once")
    order = sorted(range(len(header)), key=header.__getitem__)

    def true_names(values: list[str], where: str) -> tuple[str, ...]:
        if values.count("1") + values.count("-1") != len(values):
            wrong = next(value for value in values if value not in ("1", "-1"))
            raise UserError(f"{where}: expected 1 or -1, found {wrong!r}")
        return tuple([header[i] for i in order if values[i] == "1"])

    return tuple(header), _table(lines, file, len(header), true_names, wanted, count)


def parse_poses(data: bytes, file: str, wanted: Collection[int]) -> Table[tuple[float, float, float]]:
    """Parse ``CelebAMask-HQ-pose-anno.txt``: a count, ``Yaw Pitch Raw`` (sic), then ``0.jpg yaw pitch roll``, degrees.

    Raises
    ------
    UserError
        With file and line number.
    """
    lines = _lines(data, file)
    count = _count(lines, file)
    _, header = next(lines, (0, []))
    if [name.lower() for name in header] not in (["yaw", "pitch", "raw"], ["yaw", "pitch", "roll"]):
        raise UserError(f"{file}, line 2: expected the header 'Yaw Pitch Raw', found {' '.join(header)[:60]!r}")

    def angles(values: list[str], where: str) -> tuple[float, float, float]:
        yaw, pitch, roll = (_angle(value, where) for value in values)
        return yaw, pitch, roll

    return _table(lines, file, 3, angles, wanted, count)


def parse_mapping(data: bytes, file: str, wanted: Collection[int]) -> Table[str]:
    """Parse ``CelebA-HQ-to-CelebA-mapping.txt`` into the official split of each photo.

    The header ``idx orig_idx orig_file`` and its rows are separated by runs of spaces.  A photo's split follows from
    its index in CelebA: train below 162,771, val below 182,638, else test.

    Raises
    ------
    UserError
        With file and line number.
    """
    lines = _lines(data, file)
    number, header = next(lines, (1, []))
    if header != ["idx", "orig_idx", "orig_file"]:
        raise UserError(f"{file}, line {number}: expected the header 'idx orig_idx orig_file'")

    def split(values: list[str], where: str) -> str:
        index = _integer(values[0], where)
        return "train" if index < _TRAIN_END else "val" if index < _VAL_END else "test"

    return _table(lines, file, 2, split, wanted, None, key=_integer)


def _lines(data: bytes, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number from 1, its columns) of all lines that are not blank."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file}, line {line}: the text is not valid UTF-8") from None
    start = number = 0
    while start < len(text):
        # One line at a time: the whole of the fields would take a hundred megabytes.
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        columns = text[start:end].split()
        start = end + 1
        if columns:
            yield number, columns


def _count(lines: Iterator[tuple[int, list[str]]], file: str) -> int:
    number, columns = next(lines, (1, []))
    if len(columns) != 1 or not columns[0].isdecimal():
        raise UserError(f"{file}, line {number}: expected the number of rows, found {' '.join(columns)[:60]!r}")
    return int(columns[0])


def _table(
    lines: Iterator[tuple[int, list[str]]],
    file: str,
    width: int,
    parse: Callable[[list[str], str], Value],
    wanted: Collection[int],
    count: int | None,
    *,
    key: Callable[[str, str], int] | None = None,
) -> Table[Value]:
    key = key or _photo_number
    table: Table[Value] = Table()
    seen: set[int] = set()
    for number, columns in lines:
        where = f"{file}, line {number}"
        if len(columns) != width + 1:
            raise UserError(f"{where}: expected {width + 1} columns, found {len(columns)}")
        photo = key(columns[0], where)
        if photo in seen:
            raise UserError(f"{where}: a second row for {columns[0]}")
        seen.add(photo)
        value = parse(columns[1:], where)
        if photo in wanted:
            table.rows[photo] = value
    table.total = len(seen)
    if count is not None and count != table.total:
        raise UserError(
            f"{file}, line 1: announces {count} rows, but {table.total} follow: the file was cut or edited; "
            "fetch it again, or correct the number"
        )
    return table


def _photo_number(text: str, where: str) -> int:
    match = _FILE.fullmatch(text)
    if match is None:
        raise UserError(f"{where}: expected a photo such as 12.jpg, found {text[:60]!r}")
    return int(match[1])


def _integer(text: str, where: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UserError(f"{where}: expected a whole number, found {text[:60]!r}")
    return int(text)


def _angle(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{where}: expected an angle in degrees, found {text[:60]!r}") from None
    if not math.isfinite(value) or abs(value) > 180:
        raise UserError(f"{where}: expected an angle between -180 and 180 degrees, found {text[:60]!r}")
    return value
