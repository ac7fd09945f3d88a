"""YAML read into plain values, bounded in size, depth and what its aliases expand to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["parse_yaml", "read_values", "unshared"]

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_NODES = 100_000


def read_values(path: Path) -> Any:
    """Plain values of a YAML file, see `parse_yaml`; text that is not UTF-8 is no YAML either."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        return parse_yaml(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise yaml.YAMLError(f"it is not UTF-8: {error}") from None


def parse_yaml(text: str) -> Any:
    """Plain values of a YAML document, bounded in size, depth and what its aliases expand to.

    Raises
    ------
    yaml.YAMLError
        If it is not valid, or beyond the bounds.
    """
    if len(text) > MAX_BYTES:
        raise yaml.YAMLError(f"it is larger than {MAX_BYTES:,} bytes")
    try:
        values = unshared(yaml.load(text, _BoundedLoader))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # PyYAML lets the constructors' own errors through: a month 13, an integer of too many digits.
        raise yaml.YAMLError(f"a value cannot be read: {error}") from None
    _refuse_unplain(values)
    return values


def _refuse_unplain(value: Any) -> None:
    """Raise YAMLError for what JSON could not hold, such as dates, and for integers beyond 64 bits."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_unplain(key)
            _refuse_unplain(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unplain(inner)
    elif not isinstance(value, str | int | float | None):
        raise yaml.YAMLError(f"it holds a {type(value).__name__}; quote it")
    elif isinstance(value, int) and value.bit_length() > 64:
        raise yaml.YAMLError("it holds a number of more than 64 bits")


class _BoundedLoader(yaml.SafeLoader):
    """Refuses documents that are nested deeply or whose aliases expand to very many nodes."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._nodes = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        alias = self.check_event(yaml.AliasEvent)
        before = self._nodes
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias and id(node) not in self._sizes:
            raise yaml.YAMLError("an alias refers to what holds it")
        self._nodes += self._sizes[id(node)] if alias else 1
        if self._nodes > MAX_NODES:
            raise yaml.YAMLError(f"it expands to more than {MAX_NODES:,} values")
        self._sizes.setdefault(id(node), self._nodes - before)
        return node


def unshared(value: Any) -> Any:
    """Copy nested values; what aliases shared becomes separate, so that a change of one leaves the other alone."""
    if isinstance(value, Mapping):
        return {key: unshared(inner) for key, inner in value.items()}
    return [unshared(inner) for inner in value] if isinstance(value, list | tuple) else value
