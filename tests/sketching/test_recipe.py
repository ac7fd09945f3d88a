"""Recipes are refused by name when they are wrong, and mean the same wherever they are read."""

from __future__ import annotations

import pytest

from sketchprep.core.config import differences
from sketchprep.errors import UserError
from sketchprep.ops._validation import declared
from sketchprep.sketching import recipe, stages

MINIMAL = {"name": "x", "sources": ["folder"], "stages": {"canny": {}}, "sketch": "canny"}


@pytest.mark.parametrize("name", recipe.names())
def test_every_shipped_recipe_loads(name: str) -> None:
    loaded = recipe.load(name)
    assert loaded.name == name
    assert loaded.sources


def test_the_documented_recipes_are_shipped() -> None:
    assert {"celebamask-hq", "portraits", "folder", "pairs", "apdrawing-pretrain"} <= set(recipe.names())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizee": 256}, ["unknown key 'sizee'", "did you mean 'size'"]),
        ({"select": {"poses": {}}}, ["unknown key 'select.poses'", "did you mean 'pose'"]),
        ({"size": "big"}, ["size", "integer", "'big'"]),
        ({"size": 7}, ["size", "32"]),
        ({"stages": {"canny": {"lo": 3}}}, ["stages.canny", "unknown key 'lo'", "did you mean 'low'"]),
        ({"stages": {"canny": {"low": "x"}}}, ["stages.canny.low", "a number", "'x'"]),
        ({"stages": {"canny": {"op": "cany"}}}, ["stages.canny.op", "did you mean 'canny'"]),
        ({"stages": {"canny": {"input": "foto"}}}, ["stages.canny.input", "did you mean 'photo'"]),
        ({"stages": {"canny": {"low": -5}}}, ["stages.canny.low", "at least 0, not -5"]),
        ({"stages": {"canny": {"low": float("inf")}}}, ["stages.canny.low", "at least 0", "inf"]),
        ({"stages": {"canny": {"low": 300}}}, ["stages.canny.low", "exceed high", "300", "200"]),
        ({"stages": {"photocopy": {"variant": "gimp"}}}, ["stages.photocopy.variant", "gegl, classic", "'gimp'"]),
        ({"stages": {"photocopy": {"mask_radius": -1}}}, ["stages.photocopy.mask_radius", "at most 50, not -1"]),
        ({"stages": {"photocopy": {"mask_radius": "wide"}}}, ["stages.photocopy.mask_radius", "a number", "'wide'"]),
        ({"stages": {"photocopy": {"black": 5}}}, ["stages.photocopy.black", "at most 1, not 5"]),
        ({"stages": {"lines": {"iterations": 1.5}}}, ["stages.lines.iterations", "a whole number, not 1.5"]),
        ({"stages": {"simplify": {"weights": 5}}}, ["stages.simplify.weights", "text, not 5"]),
        ({"stages": {"tidy": {}}}, ["stages.tidy.input", "takes a sketch"]),
        ({"split": {"test": 99_999}}, ["split", "99999", "17702"]),
        ({"sketch": "hed"}, ["sketch", "no stage is named 'hed'"]),
        ({"store": ["hed"]}, ["store", "no stage is named 'hed'"]),
        ({"sketch": None}, ["sketch", "final sketch"]),
        ({"sources": []}, ["sources"]),
        ({"sources": ["folder", "folder"]}, ["sources", "once"]),
        ({"split": {"method": "half"}}, ["split.method", "'share'"]),
        ({"size": float("nan")}, ["size"]),
        ({"select": {"pose": {"yaw": float("inf")}}}, ["select.pose.yaw"]),
        ({"name": "../x"}, ["name"]),
    ],
)
def test_a_wrong_key_is_one_sentence_that_names_it(change: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        recipe.load({**MINIMAL, **change})
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("op", sorted(stages.OPS))
def test_every_number_of_every_op_has_bounds(op: str) -> None:
    for name, parameter in declared(stages.function(op)).items():
        assert parameter.kind not in (int, float) or parameter.bounds is not None, name


def test_stages_that_go_in_a_circle_are_refused() -> None:
    circle = {"a": {"op": "clean", "input": "b"}, "b": {"op": "clean", "input": "a"}}
    with pytest.raises(UserError, match="circle"):
        recipe.load({**MINIMAL, "stages": circle, "sketch": "a"})


def test_only_needed_stages_run_and_each_after_its_input() -> None:
    stages = {"last": {"op": "clean", "input": "first"}, "first": {"op": "photocopy"}, "unused": {"op": "canny"}}
    loaded = recipe.load({**MINIMAL, "stages": stages, "sketch": "last"})
    assert list(loaded.graph) == ["first", "last"]


def test_overrides_reach_nested_keys_and_keep_types() -> None:
    loaded = recipe.load(MINIMAL, ["size=256", "stages.canny.low=50", "select.pose.yaw=12.5", "upscale=true"])
    assert (loaded.size, loaded.stages["canny"].params, loaded.select.pose.yaw, loaded.upscale) == (
        256,
        {"low": 50},
        12.5,
        True,
    )


@pytest.mark.parametrize("text", ["size", "=3", "size.x=3", "stages.canny.low=[", "nothing=1"])
def test_a_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        recipe.load(MINIMAL, [text])


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="celebamask-hq"):
        recipe.load("celebamask")


def test_yaml_cannot_run_code(tmp_path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text(f"name: !!python/object/apply:os.system ['touch {tmp_path}/ran']\n")
    with pytest.raises(UserError, match="not valid YAML"):
        recipe.load(path)
    assert not (tmp_path / "ran").exists()


def test_another_size_without_other_filters_is_noted() -> None:
    note = recipe.scale_note("folder", ["size=256"])
    assert note is not None
    assert "512 px" in note
    assert "size=256" in note
    assert recipe.scale_note("folder", ["size=512"]) is None
    assert recipe.scale_note("folder", ["size=256", "stages.photocopy.mask_radius=7"]) is None
    assert recipe.scale_note("folder", ["seed=1"]) is None


def test_the_hash_knows_values_but_not_the_order_of_keys() -> None:
    one = recipe.load(MINIMAL).canonical()
    other = recipe.load(dict(reversed(MINIMAL.items()))).canonical()
    assert recipe.digest(one) == recipe.digest(other)
    assert recipe.digest(recipe.load(MINIMAL, ["seed=1"]).canonical()) != recipe.digest(one)


def test_the_stored_recipe_names_the_ops_own_defaults() -> None:
    stages = recipe.load(MINIMAL).canonical()["stages"]
    assert stages["canny"]["low"] == 100
    assert stages["canny"]["high"] == 200


def test_differences_name_the_key_and_both_values() -> None:
    one, other = recipe.load(MINIMAL).canonical(), recipe.load(MINIMAL, ["select.pose.yaw=5"]).canonical()
    assert differences(one, other) == ["select.pose.yaw: null → 5.0"]


@pytest.mark.parametrize(("planned", "count"), [(17_702, 842), (30_000, 842), (8_851, 421), (24, 1), (0, 0)])
def test_the_test_split_is_the_papers_or_its_share(planned: int, count: int) -> None:
    assert recipe.load(MINIMAL).split.test_count(planned) == count


@pytest.mark.parametrize(
    ("overrides", "values", "start"),
    [
        (["sise=128"], {}, "overrides=['sise=128']: unknown key 'sise' (did you mean 'size'"),
        (["size=64", "select.pose.yaw=x"], {}, "overrides=['select.pose.yaw=x']: select.pose.yaw"),
        (["stages.kanny.low=5"], {}, "overrides=['stages.kanny.low=5']: stages.kanny.op: no op is called 'kanny'"),
        (["sketch=hedd", "size=64"], {}, "overrides=['sketch=hedd']: sketch: no stage is named 'hedd'"),
        ([], {"limit": 0}, "limit=0: limit: input should be greater than or equal to 1"),
    ],
)
def test_what_the_user_wrote_is_blamed_rather_than_the_file(
    overrides: list[str], values: dict[str, int], start: str
) -> None:
    with pytest.raises(UserError) as caught:
        recipe.load("portraits", overrides, **values)
    assert str(caught.value).startswith(start)
