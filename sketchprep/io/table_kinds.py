"""Kinds of Parquet files: the schema that what is read is checked against, and what to say of a damaged one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Kind", "with_columns"]


@dataclass(frozen=True)
class Kind:
    """A kind of Parquet file.

    Attributes
    ----------
    columns : callable
        Returns the schema.
    filled : tuple of str
        Columns without nulls.
    remedy : str
        What to do about a damaged one.
    added : tuple of str
        Columns that files of earlier versions lack; they are null there.
    """

    columns: Callable[[], pa.Schema]
    filled: tuple[str, ...]
    remedy: str
    added: tuple[str, ...] = ()

    def checked(self, rows: pa.Table, path: Path, names: Sequence[str] | None = None) -> pa.Table:
        """Bring rows to the schema, or to some of its columns; UserError where they do not fit."""
        import pyarrow as pa

        schema = self.columns()
        with self.damage(path):
            names = schema.names if names is None else list(names)
            present = [name for name in names if name in rows.column_names or name not in self.added]
            rows = with_columns(rows.select(present), pa.schema([schema.field(name) for name in names]))
            rows.validate(full=True)  # for instance whether text is UTF-8
            for name, column in zip(names, rows.columns, strict=True):
                if (name in self.filled and column.null_count) or _inner_nulls(column):
                    raise ValueError(f"'{name}' has gaps")
        return rows

    @contextlib.contextmanager
    def damage(self, path: Path) -> Iterator[None]:
        """Turn what reading a damaged file raises into one sentence; errors of the system pass."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = str(error).partition("\n")[0].strip("'\"")[:200]
            raise UserError(f"{path}: is damaged ({reason}); {self.remedy}") from None


def _inner_nulls(column: pa.ChunkedArray) -> bool:
    """Whether a list or struct that is there lacks a value inside."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        inner = pc.list_flatten(column)
        return bool(inner.null_count) or _inner_nulls(inner)
    if pa.types.is_struct(column.type):
        return any(pc.struct_field(column, at).null_count for at in range(column.type.num_fields))
    return False


def with_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table's columns in a schema's order; those that it lacks are null."""
    import pyarrow as pa

    for column in schema:
        if column.name not in table.column_names:
            table = table.append_column(column, pa.nulls(len(table), column.type))
    return table.select(schema.names).cast(schema)
