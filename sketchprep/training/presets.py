"""Training presets: named sets of values in a YAML file, for the loop's options and the task's settings at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel

from sketchprep.core.config import Config, read_yaml
from sketchprep.core.resources import resource
from sketchprep.errors import UserError
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
    skip_unknown: bool = False,
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
    skip_unknown : bool
        Skip the preset's keys that `settings` lacks: for a model that is trained by another model's presets.
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
    fields = {**Options.model_fields, **settings.model_fields}
    if skip_unknown:
        data = {key: value for key, value in data.items() if key in fields}
    config = Config(data, f"--preset {preset}")
    # Those of a stage come last, wherever they stand.
    told = sorted(((_stage_of(text, stages), text) for text in overrides), key=lambda pair: pair[0] is not None)
    for of, text in told:
        if of in (None, stage):
            config.override(text if of is None else text.partition(".")[2], given=text)
    config.set_options(values)
    config.refuse_unknown(fields)
    return config.validate(Options, Options.model_fields), config.validate(settings, settings.model_fields)


def _stage_of(text: str, stages: Iterable[str]) -> str | None:
    head, dot, _ = text.partition("=")[0].partition(".")
    return head.strip() if dot and head.strip() in stages else None


def _read(model: str) -> dict[str, Any]:
    return read_yaml(resource("pipelines") / f"{model}.yaml", f"pipelines/{model}.yaml")
