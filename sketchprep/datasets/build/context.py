"""State of a worker process: the sources, and the sketcher with its weights, loaded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchprep.core.threads import limit_threads
from sketchprep.datasets import sources
from sketchprep.datasets.build import fingerprint
from sketchprep.sketching.sketcher import Sketcher

if TYPE_CHECKING:
    from sketchprep.datasets.build.worker import Job

__all__ = ["WorkerContext", "worker_context"]


class WorkerContext:
    """Sources and sketcher of a build.

    Raises
    ------
    UserError
        If this machine would make other bytes than the one that planned the build, or a source cannot be opened.
    """

    def __init__(self, job: Job) -> None:
        fingerprint.check(job.environment, fingerprint.resolve(job.recipe, job.device))
        self.job = job
        self.sources = {s.name: sources.open_source(s.name, job.roots[s.name], **s.options) for s in job.recipe.sources}
        self.sketcher = Sketcher(
            job.recipe,
            graph=job.recipe.beyond(self._reused()),
            device=job.device,
            dtype=job.environment.get("dtype", "auto"),
            offline=job.offline,
        )

    def load(self) -> None:
        """Read weights from the disk now, so that no stage's seconds hold it."""
        self.sketcher.load()

    def _reused(self) -> frozenset[str]:
        """Stages whose results every source brings along."""
        return frozenset.intersection(*(source.reuse_stages(self.job.recipe) for source in self.sources.values()))


_contexts: list[WorkerContext] = []


def worker_context(job: Job) -> WorkerContext:
    """Return this process' context, made anew only for another job."""
    if not _contexts or _contexts[0].job != job:
        limit_threads(job.recipe.threads)
        _contexts[:] = [WorkerContext(job)]
    return _contexts[0]
