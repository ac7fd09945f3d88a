"""Settings: YAML files and KEY=VALUE overrides read into frozen, typed models, with one sentence for a mistake."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sketchprep.core.resources import resource
from sketchprep.core.yaml_values import parse_yaml, read_values, unshared
from sketchprep.errors import UserError

__all__ = [
    "Config",
    "FrozenModel",
    "did_you_mean",
    "differences",
    "differing_keys",
    "load_preset",
    "read_yaml",
    "shipped_or_file",
    "validation_message",
]

Model = TypeVar("Model", bound=BaseModel)


class FrozenModel(BaseModel):
    """Base of settings: immutable, and strict about keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Config:
    """Values of a settings file under the changes of a command line; knows which of them brought in a mistake.

    Parameters
    ----------
    values : mapping
        Plain values, as YAML gives them.
    origin : str
        How a message names their source: ``"faces.yaml"``, ``"--preset tiny"``.
    """

    def __init__(self, values: Mapping[str, Any], origin: str) -> None:
        self._layers = [(origin, unshared(values))]

    @property
    def values(self) -> dict[str, Any]:
        """The values under all changes so far."""
        return self._layers[-1][1]

    def override(self, text: str, *, option: str = "--set", given: str = "", literal: Collection[str] = ()) -> None:
        """Apply ``key=value``: dots lead into nested keys, the value is YAML.

        Parameters
        ----------
        text : str
            For instance ``"stages.canny.low=50"``.
        option : str
            The option it was given with.
        given : str
            What the user wrote, if other than `text`.
        literal : collection of str
            Last parts of keys whose value stays text where YAML would read a number (``01:30:00`` is 5400 there).

        Raises
        ------
        UserError
            If it is no ``key=value``, or leads through a key that holds no others.
        """
        origin = " ".join(f"{option} {given or text}".splitlines())
        key, equals, value = text.partition("=")
        *parents, last = key.strip().split(".")
        if not equals or not last:
            raise UserError(f"{origin}: write it as key=value, for instance {option} size=256")
        values = unshared(self.values)
        node = values
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise UserError(f"{origin}: '{parent}' holds no other keys")
        try:
            parsed = parse_yaml(value)
        except yaml.YAMLError:
            raise UserError(f"{origin}: the value is not valid YAML; quote it") from None
        node[last] = value if last in literal and isinstance(parsed, int | float) else parsed
        self._layers.append((origin, values))

    def update(self, values: Mapping[str, Any], origin: str) -> None:
        """Replace top-level keys."""
        self._layers.append((origin, {**self.values, **unshared(values)}))

    def set_options(self, options: Mapping[str, Any]) -> None:
        """Replace top-level keys by what was given with options of their names; None leaves a key alone."""
        for key, value in options.items():
            if value is not None:
                self.update({key: value}, f"--{key.replace('_', '-')} {value}")

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Raise UserError for the first top-level key that is none of the known ones."""
        known = list(known)
        for key in self.values:
            if key not in known:
                origin = next(origin for origin, values in self._layers if key in values)
                raise UserError(f"{origin}: unknown key '{key}' ({did_you_mean(str(key), known)})")

    def validate(self, kind: type[Model], only: Collection[str] | None = None) -> Model:
        """Read the values into a model.

        Parameters
        ----------
        kind : type
            A pydantic model.
        only : collection of str, optional
            The top-level keys that belong to it; default all.

        Raises
        ------
        UserError
            About the first mistake; it names the option that brought the mistake in, or else the file.
        """
        layers = [(o, v if only is None else {k: v[k] for k in v if k in only}) for o, v in self._layers]
        message = _mistake(kind, layers[-1][1])
        if message is not None:
            origin = layers[-1][0]
            for earlier, values in reversed(layers[:-1]):
                if _mistake(kind, values) != message:
                    break
                origin = earlier
            raise UserError(" ".join(f"{origin}: {message}".splitlines()))
        return kind.model_validate(layers[-1][1])


def _mistake(kind: type[BaseModel], values: Mapping[str, Any]) -> str | None:
    try:
        kind.model_validate(values)
    except ValidationError as error:
        return validation_message(error, kind)
    return None


def load_preset(kind: type[Model], preset: str | Path, shipped: str) -> Model:
    """Read a preset: the name of the shipped one, or a YAML file.

    Raises
    ------
    UserError
        If it cannot be read, or names what does not exist.
    """
    path = shipped_or_file(preset, [shipped], "preset")
    origin = f"--preset {path}"
    return Config(read_yaml(path, origin, empty=True), origin).validate(kind)


def shipped_or_file(value: str | Path, shipped: Sequence[str], kind: str) -> Path:
    """Path of a settings file given by its path, or by its name in ``pipelines/``; UserError for an unknown name.

    Parameters
    ----------
    value : str or Path
    shipped : sequence of str
        The names in ``pipelines/``.
    kind : str
        ``"recipe"`` or ``"preset"``, which is the option's name too.
    """
    path = Path(value)
    if path.suffix in {".yaml", ".yml"}:
        return path
    if str(value) not in shipped:
        remedy = shipped[0] if len(shipped) == 1 else "a name"
        raise UserError(
            f"--{kind} {value}: no shipped {kind} has that name ({did_you_mean(str(value), shipped)}); "
            f"give {remedy} or a path that ends in .yaml"
        )
    return resource("pipelines") / f"{value}.yaml"


def read_yaml(path: Path, origin: str, *, remedy: str = "check the path", empty: bool = False) -> dict[str, Any]:
    """Read a YAML file whose top is a mapping.

    Parameters
    ----------
    path : Path
    origin : str
        How a message names the file.
    remedy : str
        What to do if there is no such file.
    empty : bool
        Whether a file without any content stands for an empty mapping.

    Raises
    ------
    UserError
        If the file cannot be read, is not valid YAML, or holds something else.
    """
    try:
        values = read_values(path)
    except OSError as error:
        raise UserError(f"{origin}: cannot be read ({error.strerror or error}); {remedy}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{origin}: is not valid YAML: {' '.join(str(error).split())}") from None
    if values is None and empty:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{origin}: must be a YAML mapping of keys to values")
    return values


def did_you_mean(wanted: str, names: Iterable[str]) -> str:
    """List the known names, after the one that was probably meant."""
    names = list(names)
    close = difflib.get_close_matches(wanted, names, 1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"


def validation_message(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence about the first of a model's complaints, with the known keys where one is unknown."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{where}' ({did_you_mean(str(first['loc'][-1]), _keys_at(model, first['loc'][:-1]))})"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = first.get("input")
    shown = f", not {given!r}" if where and isinstance(given, str | int | float | bool | None) else ""
    return f"{where}: {message}{shown}" if where else message


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


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the keys in which two nested mappings differ, as ``key: old → new``."""
    lines = []
    for key in sorted({*old, *new}, key=str):
        a, b = old.get(key), new.get(key)
        name = f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, name + ".")
        elif a != b:
            lines.append(f"{name}: {_short(a)} → {_short(b)}")
    return lines


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any], most: int = 8) -> str:
    """The differences of two nested mappings in one line, at most so many of them; empty if there are none."""
    lines = differences(old, new)
    return "; ".join(lines[:most]) + (f"; and {len(lines) - most} more" if len(lines) > most else "")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
