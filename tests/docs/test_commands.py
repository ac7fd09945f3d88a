"""Every command that the documentation shows exists, with the options it is given; nothing is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from doc_pages import PAGES, ROOT, commands, name

from sketchprep.cli.main import main


def check(group: click.Group, parent: click.Context, arguments: list[str], *, whole: bool) -> None:
    """Look up a command and its options; `whole`: nothing that it requires may be missing."""
    if arguments and arguments[0].startswith("-"):
        assert hasattr(group, "default"), f"{parent.command_path} has no default command"
        arguments = [group.default, *arguments]
    if not arguments:
        return
    command = group.get_command(parent, arguments[0])
    assert command is not None, f"{parent.command_path} {arguments[0]}: there is no such command"
    context = click.Context(command, info_name=arguments[0], parent=parent)
    if isinstance(command, click.Group):
        check(command, context, arguments[1:], whole=whole)
        return
    given, _, _ = command.make_parser(context).parse_args(list(arguments[1:]))
    for parameter in command.get_params(context):
        values = given.get(parameter.name)
        if values is None:
            assert not (whole and parameter.required), f"{context.command_path} needs {parameter.opts[0]}"
        elif isinstance(parameter.type, click.Choice):
            for value in values if isinstance(values, (list, tuple)) else [values]:
                parameter.type.convert(value, parameter, context)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_parse(page: Path) -> None:
    context = click.Context(main, info_name="sketchprep")
    for arguments, whole in commands(page):
        try:
            check(main, context, arguments, whole=whole)
        except click.UsageError as error:
            pytest.fail(f"sketchprep {shlex.join(arguments)}: {error.format_message()}")


def test_every_command_is_in_the_table() -> None:
    table = (ROOT / "docs/commands.md").read_text(encoding="utf-8").partition("## Reference")[0]
    missing = [command for command in main.commands if not re.search(rf"`{command}\b", table)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_scripts_and_presets_that_are_named_are_there(page: Path) -> None:
    text = (page.read_text(encoding="utf-8")).replace("\n", " ")
    for path in re.findall(r"\b((?:docs|tests|pipelines|sketchprep)/[\w/.-]+\.(?:py|yaml|yml))\b", text):
        assert (ROOT / path).is_file(), path
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert f"\n{target}:" in makefile, f"make {target}"


def test_every_environment_variable_is_described() -> None:
    pattern = re.compile(r"\bSKETCHPREP_[A-Z_]+")
    files = [*(ROOT / "sketchprep").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / ".ci/run"]
    used = {found for file in files for found in pattern.findall(file.read_text(encoding="utf-8"))} - {"SKETCHPREP_"}
    described = set(pattern.findall((ROOT / "docs/environment.md").read_text(encoding="utf-8")))
    assert described == {variable for variable in used if not variable.endswith("_")}
