"""Training presets: YAML files with one set of values a machine, for the loop and for the task at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sketchprep.errors import UserError
from sketchprep.recipe import _override
from sketchprep.resources import resource
from sketchprep.train.options import Options

__all__ = ["load", "names"]

Settings = TypeVar("Settings", bound=BaseModel)


def names(model: str) -> list[str]:
    """Names of the presets in ``pipelines/MODEL.yaml``."""
    return list(_read(model))


def load(
    model: str, preset: str, settings: type[Settings], overrides: Iterable[str] = (), **values: Any
) -> tuple[Options, Settings]:
    """Read a preset and apply overrides.

    Parameters
    ----------
    model : str
        Stem of a file in ``pipelines/`` whose ``presets`` map names to values.
    settings : type
        The task's own settings; keys that are none of the loop's options belong to it.
    overrides : iterable of str
        ``key=value`` with dots for nested keys and YAML for values, for instance ``"schedule.end=0.1"``.
    **values
        Top-level keys that replace the preset's; None leaves them alone.

    Returns
    -------
    options, settings

    Raises
    ------
    UserError
        For an unknown preset or key, or a value of the wrong type or range.
    """
    presets = _read(model)
    if preset not in presets:
        raise UserError(f"--preset {preset}: unknown; known: {', '.join(presets)}")
    data = dict(presets[preset])
    for text in overrides:
        _override(data, text)
    data |= {key: value for key, value in values.items() if value is not None}
    known = {**Options.model_fields, **settings.model_fields}
    for key in data:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise UserError(f"--set {key}: unknown key ({hint}known: {', '.join(known)})")
    try:
        return (
            Options.model_validate({k: v for k, v in data.items() if k in Options.model_fields}),
            settings.model_validate({k: v for k, v in data.items() if k in settings.model_fields}),
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"--set {key}: {first['msg'].removeprefix('Value error, ')}, not {first['input']!r}") from None


def _read(model: str) -> dict[str, dict[str, Any]]:
    return yaml.safe_load((resource("pipelines") / f"{model}.yaml").read_text(encoding="utf-8"))["presets"]
