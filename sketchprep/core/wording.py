"""The sentence for a key or a value that a settings file got wrong: one mechanism for recipes and all other YAML."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

__all__ = ["as_given", "blamed", "known", "sentence"]


def known(wanted: str, names: Iterable[str]) -> str:
    """List the known names, after the one that was probably meant."""
    names = list(names)
    close = difflib.get_close_matches(wanted, names, 1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence about the first of a model's complaints, with the known keys where one is unknown."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{where}' ({known(str(first['loc'][-1]), _keys_at(model, first['loc'][:-1]))})"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = first.get("input")
    shown = f", not {given!r}" if where and isinstance(given, str | int | float | bool | None) else ""
    return f"{where}: {message}{shown}" if where else message


def as_given(overrides: Iterable[str], options: Mapping[str, Any]) -> dict[str, str]:
    """What the user wrote for each key: ``--set KEY=VALUE``, or an option of the key's own name."""
    given = {text.partition("=")[0].strip(): f"--set {text}" for text in overrides}
    return given | {key: f"--{key.replace('_', '-')} {value}" for key, value in options.items() if value is not None}


def blamed(error: ValidationError, given: Mapping[str, str], otherwise: str) -> str:
    """What the user wrote that a model's first complaint is about; `otherwise` if it was no single key.

    Parameters
    ----------
    given : mapping of str to str
        See `as_given`.
    """
    wrong = ".".join(str(part) for part in error.errors()[0]["loc"])
    fitting = [text for key, text in given.items() if f"{wrong}.".startswith(f"{key}.") or key.startswith(f"{wrong}.")]
    return fitting[-1] if fitting else otherwise


def _keys_at(model: Any, loc: Sequence[int | str]) -> list[str]:
    """Keys of the model that a path of keys and positions leads to."""
    at = model
    for part in loc:
        fields = getattr(at, "model_fields", {})
        if part in fields:
            at = _inner(fields[part].annotation)
    return list(getattr(at, "model_fields", model.model_fields))


def _inner(annotation: Any) -> Any:
    """The model inside ``tuple[M, ...]``, ``M | None`` and the like."""
    if typing.get_origin(annotation) in (tuple, list, typing.Union, types.UnionType):
        return next((a for a in typing.get_args(annotation) if hasattr(a, "model_fields")), annotation)
    return annotation
