"""Recipes: YAML read into frozen pydantic models; unknown keys are errors."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sketchprep.core.config import Config, FrozenModel, did_you_mean, read_yaml, shipped_or_file
from sketchprep.core.resources import resource
from sketchprep.sketching import stages

__all__ = ["Recipe", "as_begun", "complete", "digest", "load", "names", "scale_note"]

SIZES = (32, 4096)


class SourceSpec(FrozenModel):
    """One source.  Its root is given when the recipe runs: folders differ between machines, datasets must not."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class PoseLimits(FrozenModel):
    """Largest absolute angles in degrees; null leaves an axis free."""

    yaw: float | None = Field(default=None, gt=0, le=180)
    pitch: float | None = Field(default=None, gt=0, le=180)
    roll: float | None = Field(default=None, gt=0, le=180)

    @property
    def limits(self) -> dict[str, float]:
        """The limited axes."""
        return {axis: limit for axis, limit in self.model_dump().items() if limit is not None}


class Select(FrozenModel):
    """Which faces are wanted."""

    pose: PoseLimits = PoseLimits()
    exclude_attributes: tuple[str, ...] = ()
    require_attributes: tuple[str, ...] = ()
    exclude_masks: dict[str, float] = Field(default_factory=dict)
    min_eye_distance: float = Field(default=0.0, ge=0)
    min_face_score: float | None = Field(default=10.0, ge=0, le=50)
    max_unseen: int | None = Field(default=None, ge=0, le=7)
    one_face: bool = True


class Align(FrozenModel):
    """The frame that the photos are brought into."""

    template: Literal["ffhq", "apdrawing", "none"] = "ffhq"


class Stage(BaseModel):
    """One named step of the graph: an op, the stage it reads, and the op's own parameters."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    op: str
    input: str = "photo"

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class PhotoFormat(FrozenModel):
    """How photos are stored; JPEG is always 4:4:4."""

    format: Literal["jpeg", "png"] = "jpeg"
    quality: int = Field(default=95, ge=1, le=100)


class Split(FrozenModel):
    """``share`` takes ``test / of`` of the planned photos, at most `test`; ``official`` follows the corpus.

    The same photo saved again, at another quality or size or mirrored, goes to the same split (``together``), is left
    out (``drop``), or is not looked for (``ignore``).
    """

    method: Literal["share", "official", "none"] = "share"
    test: int = Field(default=842, ge=0)
    of: int = Field(default=17_702, ge=1)
    near_duplicates: Literal["together", "drop", "ignore"] = "together"

    @model_validator(mode="after")
    def _check_share(self) -> Split:
        if self.test > self.of:
            raise ValueError(f"test must not exceed of, but test is {self.test} and of is {self.of}")
        return self

    def test_count(self, planned: int) -> int:
        """Number of test photos among `planned` ones."""
        return round(self.test * min(1.0, planned / self.of))


class Recipe(FrozenModel):
    """Everything that decides which pairs are made and how."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    size: int = Field(default=512, ge=SIZES[0], le=SIZES[1])
    upscale: bool = False
    landmarks: Literal["dlib", "mediapipe"] = "dlib"
    rotate: bool = False
    shard_size: int = Field(default=256, ge=1, le=100_000)
    seed: int = 0
    limit: int | None = Field(default=None, ge=1)
    select: Select = Select()
    align: Align = Align()
    stages: dict[str, Stage] = Field(default_factory=dict)
    sketch: str | None = None
    store: tuple[str, ...] = ()
    labels: bool = False
    photo: PhotoFormat = PhotoFormat()
    split: Split = Split()
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    batch: int | None = Field(default=None, ge=1, le=1024)
    threads: int = Field(default=1, ge=1, le=256)

    @field_validator("sources", mode="before")
    @classmethod
    def _source_names(cls, value: Any) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return tuple({"name": v} if isinstance(v, str) else v for v in value)
        return value

    @field_validator("stages", mode="before")
    @classmethod
    def _stage_defaults(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {
            name: {"op": name, **(spec or {})} if isinstance(spec, Mapping | None) else spec
            for name, spec in value.items()
        }

    @model_validator(mode="after")
    def _check_graph(self) -> Recipe:
        names_ = [s.name for s in self.sources]
        if len(set(names_)) != len(names_):
            raise ValueError("sources: each source can be named once")
        stages.check_graph({name: (s.op, s.input, s.params) for name, s in self.stages.items()})
        there = list(self.stages)
        for key, wanted in (("sketch", [self.sketch] if self.sketch else []), ("store", self.store)):
            for stage in wanted:
                if stage not in self.stages:
                    raise ValueError(f"{key}: no stage is named '{stage}' ({did_you_mean(stage, there)})")
        if self.sketch is None and any(name != "pairs" for name in names_):
            raise ValueError(f"sketch: name the stage whose result is the final sketch ({did_you_mean('', there)})")
        return self

    @property
    def graph(self) -> dict[str, Stage]:
        """The stages that are needed for what is stored, each after its input."""
        return self.needed(self.stored_stages)

    @property
    def stored_stages(self) -> list[str]:
        """The stages whose results are stored."""
        return [*self.store, *([self.sketch] if self.sketch else [])]

    def needed(self, wanted: Iterable[str]) -> dict[str, Stage]:
        """The stages that some stages depend on, and these themselves, each after its input."""
        return {name: self.stages[name] for name in stages.order({n: s.input for n, s in self.stages.items()}, wanted)}

    def beyond(self, reused: Collection[str]) -> dict[str, Stage]:
        """The stages that are left of `graph` where the results of some are there already."""
        inputs = {name: "photo" if name in reused else stage.input for name, stage in self.stages.items()}
        needed = stages.order(inputs, self.stored_stages)
        return {name: self.stages[name] for name in needed if name not in reused}

    def canonical(self) -> dict[str, Any]:
        """The recipe as plain values, with every default filled in, the ops' own too."""
        values = self.model_dump(mode="json")
        if self.split.near_duplicates == "together":  # the meaning of every recipe that does not say it
            del values["split"]["near_duplicates"]
        for name, stage in self.stages.items():
            values["stages"][name] = {**stages.parameters(stage.op), **values["stages"][name]}
            for key, default in stages.parameters(stage.op).items():
                if isinstance(default, float):  # 50 and 50.0 are one recipe
                    values["stages"][name][key] = float(values["stages"][name][key])
        return values


def complete(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a stored recipe; those of keys that it lacks are what was done before there were these keys."""
    select = {"min_face_score": None, **stored.get("select", {})}
    return {"landmarks": "dlib", "rotate": False, **stored, "select": select}


def as_begun(recipe: Recipe, stored: Mapping[str, Any]) -> Recipe:
    """The recipe for a dataset that was begun with a stored one: it looks for evidence of faces only if that does.

    A recipe that says itself what score it wants stays as it is.
    """
    if "min_face_score" in recipe.select.model_fields_set or complete(stored)["select"]["min_face_score"] is not None:
        return recipe
    return recipe.model_copy(update={"select": recipe.select.model_copy(update={"min_face_score": None})})


def digest(values: Mapping[str, Any]) -> str:
    """Sha256 of plain values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in resource("pipelines").glob("*.yaml") if _is_recipe(path))


def _is_recipe(path: Path) -> bool:
    return bool(re.search(r"^sources:", path.read_text(encoding="utf-8"), re.MULTILINE))


def load(recipe: str | Path | Mapping[str, Any], overrides: Iterable[str] = (), **values: Any) -> Recipe:
    """Read a recipe and apply overrides.

    Parameters
    ----------
    recipe : str, Path or mapping
        Name of a shipped recipe, path of a YAML file, or the values themselves.
    overrides : iterable of str
        ``key=value`` with dots for nested keys and YAML for values, for instance ``"stages.canny.low=50"``.
    **values
        Top-level keys that replace the file's; None leaves them alone.

    Raises
    ------
    UserError
        Naming the override, or else the file, and the key for anything unknown, missing or of the wrong type.
    """
    config = _read(recipe)
    for text in overrides:
        config.override(text)
    config.set_options(values)
    return config.validate(Recipe)


def scale_note(recipe: str | Path, overrides: Sequence[str]) -> str | None:
    """A sentence where overrides change a recipe's size, but not its filters, whose lengths are in pixels."""
    keys = [text.partition("=")[0].strip() for text in overrides]
    if "size" not in keys or any(key.split(".")[0] == "stages" for key in keys):
        return None
    meant, size = load(recipe).size, load(recipe, overrides).size
    if size == meant:
        return None
    return (
        f"note: size={size}: the lengths of {recipe}'s filters are meant for {meant} px and stay as they are; scale "
        "them with --set stages.STAGE.KEY=VALUE, as the recipe celebamask-hq-256 does"
    )


def _read(recipe: str | Path | Mapping[str, Any]) -> Config:
    if isinstance(recipe, Mapping):
        return Config(recipe, "recipe")
    path = shipped_or_file(recipe, names(), "recipe")
    return Config(read_yaml(path, f"--recipe {path}"), str(path))
