"""Command-line options that all trainings share, submission to Slurm among them."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sketchprep.errors import UserError

__all__ = ["trains"]

OURS = ("executor", "slurm", "dry_run")


def trains(command: Callable[..., None]) -> Callable[..., None]:
    """Add what all trainings take, among it to be submitted as a job; let the processes of one leave together."""

    @click.option("--seed", type=int, help="Of weights, order and variations.")
    @click.option("--init-from", type=click.Path(path_type=Path), help="Run or checkpoint whose weights to start from.")
    @click.option("-n", "--dry-run", is_flag=True, help="Only measure a few steps: images/s, memory, hours.")
    @click.option("--device", help="auto, cpu or cuda:N.")
    @click.option("--executor", type=click.Choice(["slurm"]), help="slurm submits a job that trains.")
    @click.option(
        "--slurm",
        multiple=True,
        metavar="FILE|KEY=VALUE",
        help="What Slurm is asked for; see pipelines/train-slurm.yaml.",
    )
    @click.pass_context
    @functools.wraps(command)
    def wrapper(ctx: click.Context, executor: str | None, slurm: tuple[str, ...], **options: Any) -> None:
        if executor is not None:
            from sketchprep.training import slurm as training

            click.echo(training.submit(_arguments(ctx), options["run"], slurm, dry_run=options["dry_run"]))
            return
        if slurm:
            raise UserError(f"--slurm {slurm[0]}: goes with --executor slurm")
        from sketchprep.training import devices

        silent = devices.detect_launcher().processes > 1 and not devices.first_process()
        try:
            with contextlib.redirect_stdout(io.StringIO()) if silent else contextlib.nullcontext():
                command(**options)
        except SystemExit:
            devices.leave_together()
            raise
        devices.leave_together()

    return wrapper


def _arguments(ctx: click.Context) -> list[str]:
    """The command as it was given, without the options about Slurm; paths absolute."""
    assert ctx.parent is not None
    arguments = [str(ctx.parent.info_name), str(ctx.info_name)]
    for param in ctx.command.params:
        name, value = str(param.name), ctx.params.get(str(param.name))
        if name in OURS or ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        option = max(param.opts, key=len)
        if isinstance(param, click.Option) and param.is_flag:
            arguments.append(option)
            continue
        for one in value if isinstance(value, tuple) else (value,):
            arguments += [option, str(one.absolute() if isinstance(one, Path) else one)]
    return arguments
