"""The examples of the documentation run as they stand."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from doc_pages import DOCS, Block, blocks

EXAMPLES = [*blocks(DOCS / "extending.md", "python"), *blocks(DOCS / "dataset.md", "python")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_runs(
    example: Block, built: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sketchprep.sketching.stages import OPS

    assert len(example.text.splitlines()) <= 45
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").symlink_to(built)
    (photos / "anna").mkdir()
    for photo in sorted(photos.glob("*.jpg"))[:2]:
        photo.rename(photos / "anna" / photo.name)
    monkeypatch.chdir(tmp_path)
    known = set(OPS)
    path = tmp_path / example.title
    path.write_text(example.text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    try:
        spec.loader.exec_module(module)
    finally:
        for op in set(OPS) - known:
            del OPS[op]


def test_the_example_recipe_is_one() -> None:
    from sketchprep.sketching.recipe import load

    (example,) = blocks(DOCS / "recipes.md", "yaml")
    assert load(yaml.safe_load(example.text)).name == "mine"


def test_the_references_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from sketchprep.cli.main import main
    from sketchprep.core import weights
    from sketchprep.sketching.stages import OPS, parameters

    monkeypatch.syspath_prepend(str(DOCS))
    import hooks

    commands, ops, licences = (
        hooks.on_page_markdown((DOCS / page).read_text(encoding="utf-8"))
        for page in ("commands.md", "recipes.md", "licences.md")
    )
    assert not [mark for mark in hooks.MARKS if mark in commands + ops + licences]
    assert [name for name in weights.names() if f"| `{name}` |" not in licences] == []
    assert [name for name in main.commands if f"### sketchprep {name}\n" not in commands] == []
    for op in OPS:
        (line,) = (line for line in ops.splitlines() if line.startswith(f"| `{op}` | ") and line.count("|") == 5)
        assert [key for key in parameters(op) if f"`{key}: " not in line] == []


@pytest.mark.parametrize("script", sorted((DOCS / "images").glob("*.py")), ids=lambda path: path.name)
def test_a_script_that_makes_a_picture_finds_what_it_imports(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(script.parent))
    assert callable(runpy.run_path(str(script), run_name="imported")["main"])
    picture = next(script.parent.glob(f"{script.stem}.[jps][pnv]g"))
    assert picture.stat().st_size < 500_000
