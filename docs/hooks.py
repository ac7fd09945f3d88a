"""Hook of mkdocs: fills in commands, ops and weights as the code and the manifest have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

__all__ = ["MARKS", "on_page_markdown"]

WIDTH = 100


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put references in place of the marks of a page."""
    for mark, lines in MARKS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(lines()))
    return markdown


def commands() -> Iterator[str]:
    """A section for each command, sub-commands after their group."""
    from sketchprep.cli.main import main

    yield from _sections(main, click.Context(main, info_name="sketchprep"))


def _sections(group: click.Group, parent: click.Context) -> Iterator[str]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)
        yield f"### {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
        if isinstance(command, click.Group):
            yield from _sections(command, context)


def ops() -> Iterator[str]:
    """A table of the ops, their parameters with defaults, and what they need."""
    from sketchprep.sketching.stages import OPS, parameters

    yield "| Op | Parameters and defaults | Landmarks | Weights |\n|---|---|---|---|"
    for name, op in OPS.items():
        listed = ", ".join(f"`{key}: {_yaml(value)}`" for key, value in parameters(name).items())
        yield f"| `{name}` | {listed or '-'} | {op.landmarks} | {op.asset or '-'} |"


def weights() -> Iterator[str]:
    """A table of the weights in the manifest."""
    import yaml

    from sketchprep.core.resources import resource

    manifest = yaml.safe_load(resource("data_manifest.yaml").read_text(encoding="utf-8"))
    yield "| Name | What | Licence | Restriction | Used by |\n|---|---|---|---|---|"
    for name, entry in manifest["weights"].items():
        restriction, users = entry.get("restriction", "-"), ", ".join(entry["used_by"])
        yield f"| `{name}` | {entry['title']} | {entry['licence']} | {restriction} | {users} |"


def _yaml(value: Any) -> str:
    return {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else str(value)


MARKS: dict[str, Callable[[], Iterator[str]]] = {
    "<!-- commands -->": commands,
    "<!-- ops -->": ops,
    "<!-- weights -->": weights,
}
