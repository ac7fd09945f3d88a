"""What a process that works on shards loads once: sources, landmark predictor, networks."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sketchprep.datasets.build import passes

if TYPE_CHECKING:
    from sketchprep.datasets.build.worker import Job

__all__ = ["Tools", "limit_threads", "tools_for"]


class Tools:
    """What a process loads once: sources, landmark predictor, networks."""

    def __init__(self, job: Job) -> None:
        from sketchprep.datasets import sources
        from sketchprep.datasets.build import fingerprint

        self.job = job
        fingerprint.check(job.environment, fingerprint.resolve(job.recipe, job.device, job.part))
        # The second pass sees no photo, and its nodes need not either.
        wanted = () if job.part == passes.NETWORK else job.recipe.sources
        self.sources = {s.name: sources.open_source(s.name, job.roots[s.name], **s.options) for s in wanted}

    def load(self) -> None:
        """Read weights from the disk now, so that no stage's seconds hold it."""
        if self.job.part != passes.NETWORK:
            self.landmarker.load()
        _ = self.networks

    @cached_property
    def landmarker(self) -> Any:
        from sketchprep.core import weights
        from sketchprep.sketching.landmarks import Landmarker

        return Landmarker(weights.path("dlib-landmarks-68", offline=self.job.offline))

    @cached_property
    def networks(self) -> dict[str, Any]:
        """Loaded networks by stage; torch is imported only if there are any."""
        from sketchprep.core import runtime
        from sketchprep.sketching import stages

        graph = passes.graph(self.job.recipe, self.job.part)
        wanted = {name: s for name, s in graph.items() if stages.OPS[s.op].asset}
        device = runtime.resolve_device(self.job.device) if wanted else ""
        return {
            name: stages.load_network(
                s.op, s.params, device=device, dtype=self.job.environment["dtype"], offline=self.job.offline
            )
            for name, s in wanted.items()
        }


_tools: list[Tools] = []


def tools_for(job: Job) -> Tools:
    """Return this process' tools, made anew only for another job."""
    if not _tools or _tools[0].job != job:
        limit_threads(job.recipe.threads)
        _tools[:] = [Tools(job)]
    return _tools[0]


def limit_threads(threads: int) -> None:
    """Set the threads that a single call of OpenCV or torch may use in this process."""
    import cv2

    cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
