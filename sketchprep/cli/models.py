"""The commands that model families bring: their own, and theirs in the groups `train`, `evaluate`, `import-weights`."""

from __future__ import annotations

import click

from sketchprep.models import FAMILIES, commands_of

__all__ = ["COMMANDS"]


class DefaultGroup(click.Group):
    """A group whose default command's name may be left out when options follow."""

    def __init__(self, *, default: str, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=DefaultGroup, default="deepfacedrawing")
def train() -> None:
    """Train a network; the same command again resumes where it stopped.

    Without a command's name, options go to `deepfacedrawing`.
    """


@click.group(cls=DefaultGroup, default="faces")
def evaluate() -> None:
    """Measure a network on held-out data: table, JSON and contact sheet.

    Without a command's name, options go to `faces`.
    """


@click.group("import-weights")
def import_weights() -> None:
    """Bring other authors' weights into a folder that is used like a run."""


def _collect() -> tuple[click.Command, ...]:
    commands: list[click.Command] = [train, evaluate, import_weights]
    for family in FAMILIES:
        brought = commands_of(family)
        commands += brought.COMMANDS
        for command in brought.TRAIN:
            train.add_command(command)
        for command in brought.EVALUATE:
            evaluate.add_command(command)
        for command in brought.IMPORT:
            import_weights.add_command(command)
    return tuple(commands)


COMMANDS = _collect()
