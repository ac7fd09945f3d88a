"""The commands that look at built datasets and cut or copy them.  Registered by `sketchprep.cli.main`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sketchprep.core.cli_options import DATA, DATA_OR_URL, OUT, OUT_NEEDED
from sketchprep.core.workdir import Report

__all__ = ["COMMANDS"]


@click.command()
@DATA_OR_URL
@click.option("--stages", metavar="A,B,…", help="Columns; default: the photo with its windows, and all that is stored.")
@click.option("-n", "--people", default=8, show_default=True, help="Rows, spread over the dataset.")
@OUT
def preview(data: Path, stages: str | None, people: int, out: Path | None) -> None:
    """Make a contact sheet: photo beside sketches, one row a person."""
    from sketchprep.datasets import preview as previews
    from sketchprep.io.contact_sheet import save_picture

    path = out or (Path(f"{data.name}-preview.jpg") if isinstance(data, str) else data / "preview.jpg")
    save_picture(previews.preview(data, stages=stages.split(",") if stages else None, people=people), path)
    click.echo(str(path))


@click.command()
@DATA_OR_URL
@click.option("-w", "--watch", is_flag=True, help="Show a bar until the build is complete.")
def status(data: Path, watch: bool) -> None:
    """Show where a build stands; reads files only, also while it runs, from any machine that sees them."""
    from sketchprep.datasets import status as report
    from sketchprep.datasets.build.monitor import follow

    if watch:
        follow(data)
    click.echo(report.summary(report.status(data)))


@click.command()
@DATA_OR_URL
def cancel(data: Path) -> None:
    """Stop a build: its Slurm jobs, or local workers.  Finished shards stay; the same build command goes on."""
    from sketchprep.datasets.build import slurm

    jobs = slurm.cancel(data)
    if jobs is None:
        click.echo(f"{data}: is finished, so there is nothing to cancel")
    else:
        click.echo(f"{data}: {f'{jobs} Slurm jobs ended' if jobs else 'no Slurm job; workers stop after their photo'}")


@click.command()
@DATA_OR_URL
@click.option("--kind", help="Only one kind, for instance pose or truncated.")
@click.option("--all", "everything", is_flag=True, help="All of them, not the first twenty.")
def failures(data: Path, kind: str | None, everything: bool) -> None:
    """List what was rejected or failed, and why."""
    from sketchprep.datasets import status as report

    click.echo(report.failures_text(data, kind=kind, limit=None if everything else 20))


@click.command()
@DATA_OR_URL
def verify(data: Path) -> None:
    """Recheck every file of a dataset against its sha256."""
    from sketchprep.core import progress
    from sketchprep.datasets.status import status as read_status
    from sketchprep.datasets.verify import extent
    from sketchprep.datasets.verify import verify as check

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


@click.command()
@click.argument("url")
@click.argument("out", type=click.Path(path_type=Path))
def pull(url: str, out: Path) -> None:
    """Copy a dataset from an object store to a folder, for training; the same command again goes on."""
    from sketchprep.datasets import remote

    size = remote.pull(url, out)
    click.echo(f"{out}: {size / 1e6:,.1f} MB fetched; check them with `sketchprep verify {out}`")


@click.command("crop-components")
@DATA
@OUT
@click.option(
    "--layout",
    default="deepfacedrawing",
    show_default=True,
    help="Parts and windows of deepfacedrawing, apdrawing or mask-guided.",
)
@click.option("--centre", help="fixed, landmarks or mask; default: the layout's own way.")
@click.option("--align", help="For a folder: face, by landmarks (photos), or none, as they are (sketches).")
@click.option("--split", help="Only this split of a dataset.")
@click.option("--size", type=int, help="Side of the frame in pixels; default: the dataset's, 512 for a folder.")
@click.option("--images", is_flag=True, help="Write PNGs too.")
def crop_components(data: Path, out: Path | None, **options: Any) -> None:
    """Cut left eye, right eye, nose, mouth and remainder out of a dataset or a folder of pictures."""
    from sketchprep.core import progress
    from sketchprep.datasets.components import crop

    target = out or data.resolve().with_name(f"{data.resolve().name}-components")
    _say(crop.crop_components(data, target, progress=progress.bar, **options))


@click.command()
@DATA
@click.option("--to", required=True, help="Layout: pix2pix, pix2pixhd, imagefolder, controlnet, apdrawing or shards.")
@OUT_NEEDED
@click.option("--split", help="Only this split.")
@click.option("--size", type=int, help="Side of the pictures in pixels, at most the dataset's.")
@click.option("--limit", type=int, help="At most N pairs of each split.")
def export(data: Path, out: Path, **options: Any) -> None:
    """Write a dataset in the layout of another project, and say how to train there."""
    from sketchprep.core import progress
    from sketchprep.datasets.export import export as exporting

    _say(exporting.export(data, options.pop("to"), out, progress=progress.bar, **options))


def _say(report: Report) -> None:
    """Describe what is there now; the exit code is 1 if that is nothing."""
    click.echo(report.text())
    if not report.written + report.skipped:
        sys.exit(1)


COMMANDS = (preview, status, cancel, failures, verify, pull, crop_components, export)
