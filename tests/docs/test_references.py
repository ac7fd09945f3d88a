"""What docstrings and pages refer to exists: names in backquotes are the code's."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

import sketchprep

PACKAGE = Path(sketchprep.__file__).parent
PAGES = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "docs").rglob("*.md")]
FULL = re.compile(r"(?<!`)`(sketchprep(?:\.\w+)+)`(?!`)")
FILES = {"json", "jsonl", "onnx", "parquet", "png", "py", "safetensors", "yaml"}
SHORT = re.compile(r"(?<!`)`(\w+)\.(\w+)`(?!`)")


@cache
def modules() -> dict[str, list[str]]:
    """Last part of a module's name to full names."""
    found: dict[str, list[str]] = {}
    for module in pkgutil.walk_packages(sketchprep.__path__, "sketchprep."):
        found.setdefault(module.name.rpartition(".")[2], []).append(module.name)
    return found


@cache
def classes() -> dict[str, list[type]]:
    found: dict[str, list[type]] = {}
    for name in (name for names in modules().values() for name in names if not name.endswith("__main__")):
        for thing in vars(importlib.import_module(name)).values():
            if inspect.isclass(thing) and thing.__module__.startswith("sketchprep."):
                found.setdefault(thing.__name__, []).append(thing)
    return found


def has(thing: object, name: str) -> bool:
    return (
        hasattr(thing, name)
        or any(name in vars(base).get("__annotations__", {}) for base in getattr(thing, "__mro__", ()))
        or f"self.{name} = " in (inspect.getsource(thing) if inspect.isclass(thing) else "")
    )


def exists(name: str) -> bool:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not has(thing, part):
                return False
            thing = getattr(thing, part, None)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PACKAGE.parent).as_posix())
def test_names_in_backquotes_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [name for name in FULL.findall(text) if not exists(name)] == []
    stale = []
    for owner, name in SHORT.findall(text):
        if name in FILES:
            continue
        if owner in classes():
            good = any(has(kind, name) for kind in classes()[owner])
        elif owner in modules():
            good = any(has(importlib.import_module(module), name) for module in modules()[owner])
        else:
            continue
        if not good:
            stale.append(f"{owner}.{name}")
    assert stale == []
