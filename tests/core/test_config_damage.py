"""Random YAML and values for recipes and settings: a model or one sentence, never a traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from damage import ODD, damage_bytes, damage_yaml

from sketchprep.core.resources import resource
from sketchprep.errors import UserError
from sketchprep.sketching import recipe
from sketchprep.sketching.recipe import Recipe


def sentence_or_recipe(path: Path, overrides: list[str]) -> None:
    try:
        loaded = recipe.load(path, overrides)
    except UserError as error:
        text = str(error)
    else:
        text = recipe.digest(loaded.canonical())
        assert isinstance(loaded, Recipe)
    assert text
    assert "\n" not in text


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_any_recipe_is_read_or_refused_in_one_sentence(count: int, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    keys = ("size", "split.test", "stages.canny.low", "stages.photocopy", "select.pose.yaw", "sources", "a.b", "store")
    for seed in range(count):
        rng = random.Random(seed)
        path.write_bytes((resource("pipelines") / "folder.yaml").read_bytes())
        rng.choice((damage_bytes, damage_yaml, damage_yaml, damage_yaml))(path, rng)
        overrides = []
        if rng.random() < 0.4:
            odd = rng.choice(ODD)
            value = yaml.safe_dump(odd, default_flow_style=True).strip() if rng.random() < 0.5 else str(odd)
            overrides = [f"{rng.choice(keys)}={value}"]
        sentence_or_recipe(path, overrides)


@pytest.mark.parametrize("text", ["size: " + "9" * 5000, "limit: many", "size: 0x" + "f" * 5000, "seed: !!set {a, b}"])
def test_values_that_no_setting_has_are_a_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nsources: [folder]\nstages: {{canny: {{}}}}\nsketch: canny\n{text}\n")
    with pytest.raises(UserError) as caught:
        recipe.load(path)
    assert len(str(caught.value)) < 500
