"""The work on one shard, in any process: photos in, one tar and its rows out."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core.threads import limit_threads
from sketchprep.datasets.build.context import WorkerContext, worker_context
from sketchprep.datasets.build.work_item import WorkItem, run_stages
from sketchprep.datasets.reports import Meter
from sketchprep.datasets.schema import shard_table
from sketchprep.errors import SampleError, UserError
from sketchprep.io import shards
from sketchprep.io.files import commit, disk_sentence, process_name
from sketchprep.sketching.framing import bring_into_frame

if TYPE_CHECKING:
    from sketchprep.datasets.plan import ShardPlan
    from sketchprep.records import Sample
    from sketchprep.sketching.framing import FramedPhoto
    from sketchprep.sketching.recipe import Recipe

__all__ = ["Job", "Stopped", "run_shard"]


@dataclass(frozen=True)
class Job:
    """What every worker of a build is told; small and picklable.

    Attributes
    ----------
    out : Path
        The dataset's folder.
    recipe : Recipe
        The resolved recipe.
    environment : dict
        What the bytes depend on, as planned.
    roots : dict of str to Path
        Where each source lies on this machine.
    device : str
        As asked for: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch a missing weight.
    parent : int
        Process to die with; 0 for none.
    url : str
        The store that finished shards go to, see `sketchprep.datasets.build.publish`; empty for a local dataset.
    """

    out: Path
    recipe: Recipe
    environment: dict[str, Any]
    roots: dict[str, Path]
    device: str = "auto"
    offline: bool = False
    parent: int = 0
    url: str = ""

    @property
    def digest(self) -> str:
        """The hash that ``recipe.yaml`` holds."""
        from sketchprep.sketching.recipe import digest

        return digest({"recipe": self.recipe.canonical(), "depends_on": self.environment})


class Stopped(Exception):
    """Somebody asked the build to stop by leaving the file ``log/stop``."""


def run_shard(job: Job, shard: ShardPlan) -> str:
    """Build one shard and commit it: first the tar, then its Parquet file, which marks the shard as complete.

    Parameters
    ----------
    job : Job
    shard : ShardPlan

    Returns
    -------
    str
        The shard's name.

    Raises
    ------
    UserError
        If the disk is full, the folder cannot be written, or this machine cannot make the planned bytes.
    """
    if not job.url:
        return _run_shard(job, shard)
    from sketchprep.datasets.build import publish
    from sketchprep.io.object_store import Url

    with publish.attended(Url(job.url), job.out, shard.name):
        return _run_shard(job, shard)


def _run_shard(job: Job, shard: ShardPlan) -> str:
    marker = job.out / "shards" / f"{shard.name}.parquet"
    temporary = marker.with_name(f".{shard.name}.{process_name()}.tmp")
    if _orphaned(job):  # a killed driver's worker must not outlive it
        os._exit(1)
    _remove_stale(marker.parent, shard.name)
    context = worker_context(job)
    limit_threads(job.recipe.threads)
    meter = Meter(job.out / "log" / f"{shard.name}.json", len(shard))
    try:
        meter.write(done=False)
        with meter.time("load"):
            context.load()
        _make(context, shard, temporary, marker, meter)
        meter.write(done=True)
    except BaseException as error:
        with contextlib.suppress(OSError):  # where nothing can be written, nothing can be removed either
            temporary.unlink(missing_ok=True)
        if isinstance(error, _Orphaned):
            os._exit(1)
        if not isinstance(error, OSError):
            raise
        if marker.exists():  # a twin finished it, and its driver cleared the folder
            return shard.name
        raise UserError(disk_sentence(job.out, error)) from error
    return shard.name


def _make(context: WorkerContext, shard: ShardPlan, temporary: Path, marker: Path, meter: Meter) -> None:
    rows, size, digest = _write_tar(context, shard, temporary, meter)
    if marker.exists():  # another process was faster; finished shards are never written twice
        temporary.unlink(missing_ok=True)
        return
    commit(temporary, marker.with_suffix(".tar"))
    pairs = sum(row["kind"] is None for row in rows)
    meta = {"photos": len(rows), "pairs": pairs, "tar_bytes": size, "tar_sha256": digest}
    shards.write_parquet(shard_table(rows), marker, meta, lambda made: _publish(context.job, marker, made))


def _publish(job: Job, marker: Path, made: Path) -> None:
    """Commit the shard in its store too, if it has one, before this machine calls it complete."""
    if job.url:
        from sketchprep.datasets.build import publish
        from sketchprep.io.object_store import Url

        publish.refuse_other_recipe(Url(job.url), job.digest)
        publish.publish(Url(job.url), marker.with_suffix(".tar"), made, marker.stem)


def _remove_stale(folder: Path, name: str) -> None:
    """Remove what dead processes of this machine left of a shard; other machines may be at work on it."""
    for stale in folder.glob(f".{name}.*.tmp"):
        node, _, pid = stale.name.removeprefix(f".{name}.").removesuffix(".tmp").rpartition("-")
        if node == platform.node() and not Path(f"/proc/{pid}").exists():
            stale.unlink(missing_ok=True)


def _write_tar(
    context: WorkerContext, shard: ShardPlan, path: Path, meter: Meter
) -> tuple[list[dict[str, Any]], int, str]:
    writer = shards.ShardWriter(path)
    rows: list[dict[str, Any]] = []
    try:
        for item in _items(context, shard, meter):
            if item.usable:
                with meter.time("write"):
                    stored = writer.add(shard.ordinals[item.number], item.members(context.job.recipe))
                item.row["members"] = [{n: getattr(m, n) for n in ("name", "offset", "size", "sha256")} for m in stored]
            rows.append(item.row)
            meter.count(item.outcome)
        with meter.time("write"):
            size, digest = writer.close()
    except BaseException:
        writer.abandon()
        raise
    return rows, size, digest


def _items(context: WorkerContext, shard: ShardPlan, meter: Meter) -> Iterator[WorkItem]:
    """Yield the photos in order, drawn and encoded.  Networks see batches of a fixed size, in sample order."""
    recipe = context.job.recipe
    batch = context.job.environment.get("batch", 1)
    waiting: list[WorkItem] = []

    def drawn() -> Iterator[WorkItem]:
        run_stages(waiting, context.sketcher, meter)
        for item in waiting:
            item.encode(recipe, meter)
            yield item
        waiting.clear()

    for item in _opened(context, shard, meter):
        if _orphaned(context.job):
            raise _Orphaned
        if (context.job.out / "log" / "stop").exists():
            raise Stopped
        waiting.append(item)
        if sum(one.usable for one in waiting) == batch:
            yield from drawn()
    yield from drawn()


def _opened(context: WorkerContext, shard: ShardPlan, meter: Meter) -> Iterator[WorkItem]:
    for number, sample in enumerate(shard.samples):
        row: dict[str, Any] = {
            "ordinal": shard.ordinals[number],
            "id": sample.id,
            "source": sample.source,
            "split": shard.split,
            "shard": shard.name,
            "sha256": shard.digests[number],
            "kind": None,
        }
        yield _open(context, number, sample, row, meter)


def _open(context: WorkerContext, number: int, sample: Sample, row: dict[str, Any], meter: Meter) -> WorkItem:
    """Bring one photo into the frame; its row says why if that cannot be."""
    recipe, source, stage = context.job.recipe, context.sources[sample.source], "decode"
    try:
        with meter.time("decode"):
            digest, picture = source.load(sample)
        row["sha256"] = row["sha256"] or digest
        if digest != row["sha256"]:
            raise SampleError(
                "changed", "the file is not the one that was planned; put it back, or accept it with --retry-failed"
            )
        stage = "select"
        framed = bring_into_frame(
            recipe,
            picture,
            context.sketcher.landmarker,
            face_checker=context.sketcher.face_checker,
            source_frame=source.frame,
            masks=source.masks(sample) if recipe.labels or recipe.select.exclude_masks else None,
            known_pose=sample.pose,
            timer=meter.time,
        )
    except SampleError as error:
        row |= {"stage": stage, "kind": error.kind, "message": error.message, "rejected": error.rejected}
        return WorkItem(number, row)
    row |= _describe(recipe, sample, framed)
    meter.notes.update(picture.notes)
    item = WorkItem.from_framed(number, row, framed, recipe, meter)
    item.images.update(picture.stages)
    return item


def _describe(recipe: Recipe, sample: Sample, framed: FramedPhoto) -> dict[str, Any]:
    return {
        "width": framed.width,
        "height": framed.height,
        "matrix": [float(v) for v in framed.matrix.ravel()],
        "landmarks": None if framed.landmarks is None else [round(float(v), 3) for v in framed.landmarks.ravel()],
        "face_score": None if framed.face_score is None else round(framed.face_score, 2),
        "unseen": None if framed.unseen is None else list(framed.unseen),
        "pose": None if framed.pose is None else [round(float(v), 3) for v in framed.pose],
        "attributes": None if sample.attributes is None else list(sample.attributes),
        "windows": _windows(recipe),
    }


def _windows(recipe: Recipe) -> list[dict[str, Any]] | None:
    from sketchprep.ops.face_parts import windows

    if recipe.align.template != "ffhq" or recipe.size % 64:
        return None
    return [{"part": part, **window._asdict()} for part, window in windows(recipe.size).items()]


class _Orphaned(BaseException):
    """The driver is gone; what was begun is taken away before the worker leaves."""


def _orphaned(job: Job) -> bool:
    """Whether this is a worker whose driver is gone."""
    return bool(job.parent) and os.getppid() != job.parent and os.getpid() != job.parent


def quiet_interrupt() -> None:
    """Leave Ctrl-C to the driver; a worker's traceback would only hide its sentence."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
