"""The commands that make datasets and sketches.  Registered by `sketchprep.cli.main`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sketchprep.core.cli_options import DEVICE, FOLLOW_LINKS, LIST, OFFLINE, OUT_OR_URL
from sketchprep.errors import UserError

__all__ = ["COMMANDS"]


def build_options(command: Any) -> Any:
    """The options that say what is to be built, shared by `build` and `plan`."""
    for option in (
        click.option("--limit", type=int, help="Take only the first N photos of each source."),
        LIST,
        FOLLOW_LINKS,
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Change a key of the recipe, for instance size=256.",
        ),
        click.option(
            "--recipe", metavar="NAME|FILE", help="Shipped recipe or YAML file; default: named as the source."
        ),
        OUT_OR_URL,
        click.option(
            "--root",
            "roots",
            multiple=True,
            metavar="DIR",
            help="Folder or zip of the photos; NAME=DIR where a recipe has several sources.",
        ),
        click.option("--source", metavar="NAME", help="Corpus to build from; see `sketchprep sources`."),
    ):
        command = option(command)
    return command


@click.command()
@build_options
@click.option("-j", "--jobs", type=int, help="Processes; default: one a core.")
@click.option(
    "--executor",
    type=click.Choice(["inline", "joblib", "slurm"]),
    help="Where shards run; default: joblib, inline for -j1.  slurm submits a job array.",
)
@click.option(
    "--slurm", multiple=True, metavar="FILE|KEY=VALUE", help="What Slurm is asked for; see pipelines/slurm.yaml."
)
@click.option("--backend", type=click.Choice(["dask", "ray"]), help="Cluster that joblib hands the shards to.")
@click.option("--scheduler", metavar="ADDRESS", help="Of that cluster, for instance tcp://host:8786.")
@click.option(
    "--scratch", metavar="DIR", help="For -o URL: folder for what is not in the store yet; default: a temporary one."
)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be done, as `sketchprep plan` does.")
@click.option("--retry-failed", is_flag=True, help="Work again on photos that failed; mended files are accepted.")
@click.option("--extend", is_flag=True, help="Append photos that came since as new shards.")
@click.option("--max-failures", metavar="N|P%", help="Stop when more photos fail.")
@DEVICE
@OFFLINE
def build(dry_run: bool, max_failures: str | None, roots: tuple[str, ...], **options: Any) -> None:
    """Build a dataset; the same command again resumes it."""
    from sketchprep.datasets import status
    from sketchprep.datasets.build import build as builder

    if dry_run:
        wanted = ("source", "out", "recipe", "overrides", "limit", "photo_list", "device", "follow_links")
        jobs = options["slurm"] if options["executor"] == "slurm" else None
        click.echo(_plan(roots, jobs, options["scratch"], **{key: options[key] for key in wanted}))
        _note_scale(options)
        return
    _note_scale(options)
    try:
        result = builder.build(root=_roots(roots), max_failures=max_failures, **options)
    except (builder.TooManyFailures, builder.Cancelled) as error:
        click.echo(f"Stopped: {error}", err=True)
        sys.exit(1)
    if result.submitted is not None:
        click.echo(result.submitted.text())
        click.echo(f"  follow it: sketchprep status --watch {result.out}\n  end it:    sketchprep cancel {result.out}")
        click.echo(result.summary.text())
        return
    found = status.status(result.out)
    click.echo(status.summary(found, kinds=False))
    rate = f", {result.made / result.seconds:.1f} photos/s" if result.made else "; everything was there already"
    click.echo(f"  {result.seconds:.1f} s{rate}\n  look at {result.out / 'preview.jpg'}")
    click.echo(result.summary.text())
    if result.too_many_failures:
        click.echo(f"{result.failed} photos failed, more than --max-failures {max_failures}", err=True)
        sys.exit(1)
    if not found.pairs:
        click.echo(f"no pair was made: {status.reasons(found)}; see `sketchprep failures {result.out}`", err=True)
        sys.exit(1)


def _note_scale(options: dict[str, Any]) -> None:
    """Say so where ``--set size=`` leaves filters that are meant for another size."""
    from sketchprep.sketching.recipe import scale_note

    name = options["recipe"] or options["source"]
    if name is not None and (note := scale_note(name, options["overrides"])) is not None:
        click.echo(note, err=True)


def _roots(roots: tuple[str, ...]) -> str | dict[str, str] | None:
    """``--root DIR`` or several ``--root NAME=DIR``.  A folder that exists is a folder, whatever its name."""
    if not roots:
        return None
    if len(roots) == 1 and ("=" not in roots[0] or Path(roots[0]).exists()):
        return roots[0]
    pairs = [text.partition("=") for text in roots]
    if any(not equals for _, equals, _ in pairs):
        raise UserError("--root: with several roots, write --root NAME=DIR for each")
    return {name: folder for name, _, folder in pairs}


def _plan(
    roots: tuple[str, ...],
    jobs: tuple[str, ...] | None = None,
    scratch: str | None = None,
    *,
    recipe: str | None,
    device: str,
    times: Path | None = None,
    **words: Any,
) -> str:
    from sketchprep.datasets.build.dry_run import dry_run
    from sketchprep.datasets.build.request import prepare

    request = prepare(root=_roots(roots), recipe_name=recipe, **words)
    if jobs is None:
        return dry_run(request, device, times)
    from sketchprep.datasets.build.build import preview_jobs

    return preview_jobs(request, jobs, scratch)


@click.command()
@build_options
@click.option("--times", type=click.Path(path_type=Path), metavar="OUT", help="A build whose seconds by stage to take.")
@DEVICE
def plan(**options: Any) -> None:
    """Show what a build would do: recipe, counts, shards, array jobs, hours by resource, disk, missing weights."""
    click.echo(_plan(**options))
    _note_scale(options)


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--stage", required=True, metavar="NAME", help="Stage of the recipe, or any op with its defaults.")
@click.option(
    "--recipe",
    "recipe_name",
    default="celebamask-hq",
    show_default=True,
    metavar="NAME|FILE",
    help="Recipe that defines the stage.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the recipe.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=".", show_default=True, help="Folder for the PNGs."
)
@DEVICE
@OFFLINE
def sketch(photos: tuple[Path, ...], stage: str, out: Path, **options: Any) -> None:
    """Run one stage on pictures as they are: no alignment, same height and width, a PNG named after each input."""
    from sketchprep.sketching.single_stage import sketch_files

    failures = sketch_files(photos, stage, out, **options)
    for failure in failures:
        click.echo(f"failed  {failure.id!r}: {failure.message}", err=True)
    click.echo(f"{len(photos) - len(failures)} of {len(photos)} sketches in {out}")
    sys.exit(1 if failures else 0)


COMMANDS = (build, plan, sketch)
