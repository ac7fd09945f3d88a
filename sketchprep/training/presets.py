"""Training presets: YAML files with one set of values a machine, for the loop and for the task at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sketchprep.core.resources import resource
from sketchprep.core.wording import as_given, blamed, known, sentence
from sketchprep.errors import UserError
from sketchprep.sketching.recipe import override
from sketchprep.training.options import Options

__all__ = ["load", "names"]

Settings = TypeVar("Settings", bound=BaseModel)


def names(model: str) -> list[str]:
    """Names of the presets in ``pipelines/MODEL.yaml``."""
    return list(_read(model)["presets"])


def load(
    model: str,
    preset: str,
    settings: type[Settings],
    overrides: Iterable[str] = (),
    *,
    stage: str | None = None,
    **values: Any,
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
        Where the file has stages, ``STAGE.key=value`` changes one of them.
    stage : str, optional
        One of the file's ``stages``: its block in the preset goes over the preset's other keys.
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
    file = _read(model)
    presets, stages = file["presets"], file.get("stages", ())
    if preset not in presets:
        raise UserError(f"--preset {preset}: unknown; known: {', '.join(presets)}")
    data = {key: value for key, value in presets[preset].items() if key not in stages}
    if stage is not None:
        data |= presets[preset].get(stage, {})
    # Those of a stage come last, wherever they stand.
    told = sorted(((_stage_of(text, stages), text) for text in overrides), key=lambda pair: pair[0] is not None)
    own = [(text if of is None else text.partition(".")[2], text) for of, text in told if of in (None, stage)]
    for change, _ in own:
        override(data, change)
    data |= {key: value for key, value in values.items() if value is not None}
    given = {change.partition("=")[0].strip(): f"--set {text}" for change, text in own} | as_given((), values)
    fields = {**Options.model_fields, **settings.model_fields}
    for key in data:
        if key not in fields:
            raise UserError(f"{given.get(key, f'--set {key}')}: unknown key '{key}' ({known(key, fields)})")
    return (
        _validated(Options, {k: v for k, v in data.items() if k in Options.model_fields}, given, preset),
        _validated(settings, {k: v for k, v in data.items() if k in settings.model_fields}, given, preset),
    )


def _validated(kind: type[Settings], data: dict[str, Any], given: dict[str, str], preset: str) -> Settings:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{blamed(error, given, f'--preset {preset}')}: {sentence(error, kind)}") from None


def _stage_of(text: str, stages: Iterable[str]) -> str | None:
    head, dot, _ = text.partition("=")[0].partition(".")
    return head.strip() if dot and head.strip() in stages else None


def _read(model: str) -> dict[str, Any]:
    return yaml.safe_load((resource("pipelines") / f"{model}.yaml").read_text(encoding="utf-8"))
