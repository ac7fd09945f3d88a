"""Cards of datasets and models: Markdown templates in ``data/cards/``, filled with what a file or a run knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Template
from typing import Any

from sketchprep.core.resources import resource

__all__ = ["bullets", "losses", "render", "score_rows"]


def render(name: str, /, **values: Any) -> str:
    """Fill the template ``data/cards/NAME.md``.

    Parameters
    ----------
    name : str
        Of the template.
    **values
        What its ``$placeholders`` stand for, each of them and no other.
    """
    text = resource(f"data/cards/{name}.md").read_text(encoding="utf-8")
    template = Template(text)
    if surplus := set(values) - set(template.get_identifiers()):
        raise ValueError(f"the template {name} has no place for {', '.join(sorted(surplus))}")
    return template.substitute({key: str(value) for key, value in values.items()})


def bullets(lines: Iterable[str], otherwise: str = "") -> str:
    """A list in Markdown; `otherwise` stands in for an empty one."""
    return "\n".join(f"- {line}" for line in list(lines) or ([otherwise] if otherwise else []))


def score_rows(scores: Mapping[str, float]) -> str:
    """Rows of a table of two columns: name and figure."""
    return "\n".join(f"| {name} | {value:.4f} |" for name, value in scores.items())


def losses(weights: Mapping[str, Any], names: Iterable[str]) -> str:
    """Weights of losses in one line, as in ``1 gan, 10 feature matching``."""
    return ", ".join(f"{weights[name]:g} {name.replace('_', ' ')}" for name in names)
