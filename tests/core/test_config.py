"""Settings files: a mistake is one sentence that names what brought it in, and no file can do harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import Field, model_validator

from sketchprep.core.config import Config, FrozenModel, load_preset, read_yaml
from sketchprep.core.yaml_values import parse_yaml
from sketchprep.errors import UserError


class Inner(FrozenModel):
    low: float = Field(default=1.0, ge=0)
    high: float = 2.0
    time: str | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Inner:
        if self.low > self.high:
            raise ValueError("low must be at most high")
        return self


class Outer(FrozenModel):
    size: int = 64
    inner: Inner | None = None
    names: tuple[str, ...] = ()


def config(*overrides: str, **values: object) -> Config:
    made = Config(values, "settings.yaml")
    for text in overrides:
        made.override(text)
    return made


def test_overrides_reach_nested_keys_and_empty_ones() -> None:
    read = config("inner.low=0.5", "names=[a, b]", inner=None).validate(Outer)
    assert read == Outer(inner=Inner(low=0.5), names=("a", "b"))


@pytest.mark.parametrize(
    ("overrides", "values", "message"),
    [
        ((), {"size": "big"}, "settings.yaml: size: input should be a valid integer"),
        (("size=big",), {}, "overrides=['size=big']: size: input should be a valid integer"),
        (("size=big",), {"size": "huge"}, "overrides=['size=big']: size:"),
        (("names=[x]",), {"size": "huge"}, "settings.yaml: size:"),
        (
            ("inner.hihg=1",),
            {},
            "overrides=['inner.hihg=1']: unknown key 'inner.hihg' (did you mean 'high'? known: low, high",
        ),
        # No single key is wrong here: what went wrong with the change is the change's fault.
        (
            ("size=3", "inner.low=5", "names=[x]"),
            {},
            "overrides=['inner.low=5']: inner: value error, low must be at most high",
        ),
        (("size=3",), {"inner": {"low": 5}}, "settings.yaml: inner: value error, low must be at most high"),
    ],
)
def test_a_mistake_names_the_option_that_brought_it_in_or_else_the_file(
    overrides: tuple[str, ...], values: dict, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        config(*overrides, **values).validate(Outer)
    assert str(caught.value).startswith(message.replace("value error, ", ""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size", "overrides=['size']: write it as key=value, for instance overrides=['size=256']"),
        ("=3", "overrides=['=3']: write it as key=value"),
        ("size.x=3", "overrides=['size.x=3']: 'size' holds no other keys"),
        ("size=[", "overrides=['size=[']: the value is not valid YAML; quote it"),
        ("size=2020-13-45", "overrides=['size=2020-13-45']: the value is not valid YAML; quote it"),
    ],
)
def test_a_malformed_override_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        config(text, size=1)
    assert str(caught.value).startswith(message)


def test_values_that_only_look_like_numbers_stay_text_where_it_is_asked() -> None:
    made = config()
    made.override("inner.time=01:30:00", literal=("time",))
    assert made.validate(Outer).inner == Inner(time="01:30:00")


def test_an_option_of_the_keys_own_name_is_blamed_as_the_user_wrote_it() -> None:
    made = config(size=3)
    made.set_options({"size": "big", "names": None})
    with pytest.raises(UserError, match=r"^size='big': size: "):
        made.validate(Outer)


def test_a_change_of_what_an_alias_shared_leaves_the_other_alone() -> None:
    made = Config(parse_yaml("one: &base {low: 1}\nother: *base\nmerged: {<<: *base, high: 3}"), "f")
    made.override("one.low=2")
    assert made.values == {"one": {"low": 2}, "other": {"low": 1}, "merged": {"low": 1, "high": 3}}


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(9), "expands to more than"),
        ("a: &a [*a]", "refers to what holds it"),
        ("a: &a {b: *a}", "refers to what holds it"),
        ("[" * 5000 + "]" * 5000, "nested more than"),
        ("- " * 5000 + "x", "nested more than"),
        ("a: " + "x" * 2_000_000, "larger than"),
        ("a: " + "9" * 5000, "4300"),
        ("a: !!timestamp soon", "a value cannot be read"),
        ("a: !!bool soon", "a value cannot be read"),
        ("a: !!int ''", "a value cannot be read"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("? [a]\n: b\n? {c: d}\n: e", "unhashable"),
        ("a: \x07", "special characters"),
    ],
)
def test_documents_out_of_bounds_are_refused_at_once(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError, match=reason):
        parse_yaml(text)
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="is not valid YAML") as caught:
        read_yaml(path, f"--recipe {path}")
    assert "\n" not in str(caught.value)


def test_files_that_hold_no_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    for content in (b"", b"- a", b"a"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="must be a YAML mapping"):
            read_yaml(path, "f")
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="is not valid YAML"):
        read_yaml(path, "f")
    for missing in (tmp_path / "none.yaml", tmp_path, Path("/dev/zero")):
        with pytest.raises(UserError, match=r"cannot be read|is not valid YAML"):
            read_yaml(missing, "f")


def test_a_preset_is_the_shipped_one_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("")
    assert load_preset(Outer, path, "robustness") == Outer()
    with pytest.raises(
        UserError,
        match=r"preset='robustnes': no shipped preset has that name \(did you mean 'robustness'\?.*; give robustness",
    ):
        load_preset(Outer, "robustnes", "robustness")
