"""What a user asks for, checked: recipe, sources, output folder, executor.  Nothing is written here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sketchprep.datasets import remote, sources
from sketchprep.datasets.layout import read_recipe
from sketchprep.datasets.sources.base import Source
from sketchprep.errors import UserError
from sketchprep.io.object_store import location
from sketchprep.sketching import recipe, selection
from sketchprep.sketching.recipe import Recipe, SourceSpec

__all__ = ["EXECUTOR_NAMES", "Request", "executor_name", "failure_limit", "prepare", "process_count"]

EXECUTOR_NAMES = ("inline", "joblib", "slurm")


@dataclass(frozen=True)
class Request:
    """What is to be built from what, resolved: recipe, where the sources lie, and the folder."""

    recipe: Recipe
    roots: dict[str, Path]
    sources: list[Source]
    out: Path


def prepare(
    source: str | None = None,
    *,
    root: str | os.PathLike[str] | Mapping[str, str] | None = None,
    out: str | os.PathLike[str] | None = None,
    recipe_name: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    overrides: Iterable[str] = (),
    limit: int | None = None,
    photo_list: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
) -> Request:
    """Resolve the recipe, its sources and the folder, without touching the disk.

    A `photo_list` is a file of paths relative to the root; see `sketchprep.datasets.sources.photo_list`.
    `follow_links` becomes an option of the recipe's sources.

    Raises
    ------
    UserError
        For an unknown source, recipe or key, or a missing root.
    """
    if source is None and recipe_name is None:
        raise UserError("name what to build from: --source NAME, or --recipe NAME or FILE (see `sketchprep sources`)")
    if source is not None:
        sources.source_class(source)
    spec: Any = recipe_name if recipe_name is not None else source
    if isinstance(spec, os.PathLike):
        spec = Path(spec)
    rec = recipe.load(spec, overrides, limit=limit, **_only(source, recipe_name))
    if follow_links:
        rec = rec.model_copy(update={"sources": tuple(_with_links(spec) for spec in rec.sources)})
    roots = _roots(rec, root)
    opened = [sources.open_source(s.name, roots[s.name], **s.options) for s in rec.sources]
    _check_names(rec, opened)
    if photo_list is not None:
        if len(opened) > 1:
            raise UserError(f"--list {photo_list}: goes with one source, and the recipe has {len(opened)}")
        opened[0].take_list(remote.local_file(photo_list))
    folder = location(out) if out is not None else Path("out") / rec.name
    if isinstance(folder, Path) and (folder / "recipe.yaml").is_file():
        rec = recipe.as_begun(rec, read_recipe(folder).get("recipe") or {})
    for one in opened:
        one.tree.leave_out(folder)
    return Request(rec, roots, opened, folder)


def _with_links(spec: SourceSpec) -> SourceSpec:
    return spec.model_copy(update={"options": {**spec.options, "follow_links": True}})


def _check_names(rec: Recipe, opened: list[Source]) -> None:
    """Refuse attributes and masks that no source of the recipe has ever heard of."""
    rules = rec.select
    attributes = {name for source in opened for name in source.attribute_names()}
    selection.check_attribute_names(rules.exclude_attributes, attributes, key="select.exclude_attributes")
    selection.check_attribute_names(rules.require_attributes, attributes, key="select.require_attributes")
    selection.check_mask_names(rules.exclude_masks, {name for source in opened for name in source.mask_names()})


def _only(source: str | None, recipe_name: Any) -> dict[str, Any]:
    """``--source`` beside ``--recipe`` replaces the recipe's sources."""
    return {"sources": [source]} if source is not None and recipe_name is not None else {}


def _roots(rec: Recipe, root: Any) -> dict[str, Path]:
    given: dict[str, str] = {}
    if isinstance(root, Mapping):
        given = {str(k): str(v) for k, v in root.items()}
    elif root is not None:
        if len(rec.sources) > 1:
            names = ", ".join(s.name for s in rec.sources)
            raise UserError(f"--root {root}: the recipe has several sources ({names}); write --root NAME=DIR for each")
        given = {rec.sources[0].name: os.fspath(root)}
    unknown = sorted(set(given) - {s.name for s in rec.sources})
    if unknown:
        raise UserError(
            f"--root {unknown[0]}=…: the recipe has no such source ({', '.join(s.name for s in rec.sources)})"
        )
    return {s.name: sources.resolve_root(s.name, given.get(s.name)) for s in rec.sources}


def executor_name(name: str | None, backend: str | None, scheduler: str | None, jobs: int | None) -> str | None:
    """Check the options that say where shards run; None leaves the choice to the number of processes.

    Raises
    ------
    UserError
        If they do not go together.
    """
    if name is not None and name not in EXECUTOR_NAMES:
        raise UserError(f"--executor {name}: unknown; known: {', '.join(EXECUTOR_NAMES)}")
    if backend is None:
        if scheduler is not None:
            raise UserError(f"--scheduler {scheduler}: say whose it is with --backend dask or --backend ray")
        return name
    if name not in (None, "joblib"):
        raise UserError(f"--backend {backend}: goes with --executor joblib, not with {name}")
    if jobs is not None:
        raise UserError(f"-j {jobs}: the workers of --backend {backend} decide how many run; leave -j out")
    return "joblib"


def process_count(jobs: int | None, device: str) -> int:
    """Processes to use: as asked, else one a core, or one alone where the networks run on a GPU.

    Raises
    ------
    UserError
        If less than one was asked for.
    """
    if jobs is not None:
        if jobs < 1:
            raise UserError(f"-j {jobs}: must be at least 1")
        return jobs
    if device.startswith("cuda"):
        return 1
    import joblib

    return joblib.cpu_count()


def failure_limit(text: str | int | None) -> Callable[[int], float]:
    """How many failures are allowed, as a function of the number of planned photos.

    Raises
    ------
    UserError
        If it is neither a number nor a share.
    """
    if text is None:
        return lambda planned: float("inf")
    with contextlib.suppress(ValueError):
        value = str(text).strip()
        if value.endswith("%"):
            share = float(value[:-1])
            if 0 <= share <= 100:
                return lambda planned: planned * share / 100
        elif int(value) >= 0:
            return lambda planned: int(value)
    raise UserError(f"--max-failures {text}: give a number of photos, or a share such as 5%")
