"""Hook of mkdocs: fills the page of commands with the help of every command, so that it cannot fall behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Put the reference in place of the mark."""
    if MARK not in markdown:
        return markdown
    from sketchprep.cli.main import main

    root = click.Context(main, info_name="sketchprep", terminal_width=100, max_content_width=100)
    return markdown.replace(MARK, "\n".join(sections(main, root)))


def sections(group: click.Group, parent: click.Context) -> Iterator[str]:
    """A section for each command below a group, sub-commands after their group."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
        yield f"### {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
        if isinstance(command, click.Group):
            yield from sections(command, context)
