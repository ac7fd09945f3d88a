"""Cards are filled templates: every place of a template is given, and nothing that it has no place for."""

from __future__ import annotations

from string import Template

import pytest

from sketchprep.core import cards
from sketchprep.core.resources import resource

NAMES = sorted(path.stem for path in resource("data/cards").glob("*.md"))


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_filled_as_it_stands(name: str) -> None:
    template = Template(resource(f"data/cards/{name}.md").read_text())
    assert template.is_valid()
    places = template.get_identifiers()
    text = cards.render(name, **{place: f"<{place} $1 {{}}>" for place in places})
    assert text.startswith("# ")
    assert all(f"<{place} $1 {{}}>" in text for place in places), "values are not templates"
    with pytest.raises(KeyError, match=places[-1]):
        cards.render(name, **dict.fromkeys(places[:-1], ""))
    with pytest.raises(ValueError, match="has no place for colour"):
        cards.render(name, colour="red", **dict.fromkeys(places, ""))


def test_lists_and_tables() -> None:
    assert cards.bullets(["a", "b"], "none") == "- a\n- b"
    assert cards.bullets([], "none") == "- none"
    assert cards.bullets([]) == ""
    assert cards.score_rows({"l1": 0.12345}) == "| l1 | 0.1235 |"
    assert cards.losses({"gan": 1.0, "feature_matching": 10, "l1": 0.5}, ("gan", "feature_matching")) == (
        "1 gan, 10 feature matching"
    )
