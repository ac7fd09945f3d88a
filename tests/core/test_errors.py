"""One sentence, two speakers: options on the command line, arguments in Python."""

from __future__ import annotations

import pickle

import click
import pytest
from click.testing import CliRunner

from sketchprep.cli.main import Main
from sketchprep.errors import SampleError, UserError


@pytest.mark.parametrize(
    ("said", "python"),
    [
        ("--root x: is no folder", "root='x': is no folder"),
        ("--init-from a/b:c: there is no such run", "init_from='a/b:c': there is no such run"),
        ("--limit 0: must be at least 1", "limit=0: must be at least 1"),
        ("--max-minutes -1.5: too short", "max_minutes=-1.5: too short"),
        ("-o out: choose a new folder with -o", "out='out': choose a new folder with `out`"),
        ("-j 3: leave -j out", "jobs=3: leave `jobs` out"),
        ("--set size=[1, 2]: size: should be a number", "overrides=['size=[1, 2]']: size: should be a number"),
        ("too small; allow it with --set upscale=true", "too small; allow it with overrides=['upscale=true']"),
        ("--device tpu is unknown; use cpu", "device='tpu' is unknown; use cpu"),
        ("--shadow needs a bank", "`shadow` needs a bank"),
        ("--root my photos: is no folder", "`root` my photos: is no folder"),
        ("--root x does not exist, or so: give it", "root='x' does not exist, or so: give it"),
        ("size: run `sketchprep build --set size=64 -o x`", "size: run `sketchprep build --set size=64 -o x`"),
        ("add --extend (or --retry-failed)", "add `extend` (or `retry_failed`)"),
        ("start it with --nproc-per-node", "start it with --nproc-per-node"),
        ("a well-known half--dash e.g. x-o", "a well-known half--dash e.g. x-o"),
        ("recipe.yaml: is damaged", "recipe.yaml: is damaged"),
    ],
)
def test_options_of_the_command_line_are_arguments_in_python(said: str, python: str) -> None:
    error = UserError(said)
    assert error.cli_message == said
    assert str(error) == python

    @click.group(cls=Main)
    def main() -> None: ...

    @main.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(main, ["fail"])
    assert (result.exit_code, result.output) == (2, f"Error: {said}\n")


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UserError("--root x: is no folder")))
    assert (error.cli_message, str(error)) == ("--root x: is no folder", "root='x': is no folder")
    sample = pickle.loads(pickle.dumps(SampleError("pose", "turned", rejected=True)))
    assert (sample.kind, sample.message, sample.rejected) == ("pose", "turned", True)
