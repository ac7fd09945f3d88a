"""What the bytes of a build will depend on, where other machines than this one make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.cluster import script, slurm
from sketchprep.cluster.settings import Settings
from sketchprep.datasets.build import fingerprint, passes
from sketchprep.datasets.reader import stored_environment
from sketchprep.errors import UserError

if TYPE_CHECKING:
    from sketchprep.sketching.recipe import Recipe

__all__ = ["planned_environment"]


def planned_environment(out: Path, rec: Recipe, device: str, settings: Settings) -> dict[str, Any]:
    """What the bytes will depend on: as planned before, else resolved here or on a node of each pass' kind.

    The submitting machine makes no bytes: its CPU and devices do not matter, its packages are the nodes' too.
    """
    slurm.demand()
    stored = stored_environment(out)
    two = settings.network is not None and fingerprint.uses_network(rec)
    cpu, network = passes.of_pass(stored, passes.CPU) if stored else None, passes.of_pass(stored, passes.NETWORK)
    if cpu is None and two:
        cpu = _resolve(rec, device, settings, passes.CPU)
    if network is None:
        network = _resolve(rec, device, settings.for_network(), passes.ALL)
    found = passes.joined(*(_with_packages(env, rec, part) for env, part in ((cpu, passes.CPU), (network, passes.ALL))))
    if not two:
        passes.refuse_both_at_once(found)
    return found


def _with_packages(planned: dict[str, Any] | None, rec: Recipe, part: str) -> dict[str, Any] | None:
    """The same with what this machine says of packages, weights and threads."""
    if planned is None:
        return None
    here = fingerprint.resolve(rec, "cpu", part)
    return {**planned, **{key: here[key] for key in ("packages", "weights", "threads")}}


def _resolve(rec: Recipe, device: str, settings: Settings, part: str) -> dict[str, Any]:
    """Resolve the environment of a pass here, or in a job of its tasks' kind, which waits in the queue."""
    if settings.planning == "here":
        return fingerprint.resolve(rec, device, part)
    question = json.dumps({"recipe": rec.canonical(), "device": device, "part": part})
    work = script.on_node(settings, "environment")
    answer = slurm.run(["srun", "--quiet", *settings.options(), "bash", "-c", work], question, seconds=None)
    try:
        return dict(json.loads(answer.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        raise UserError(f"planning=node: the node answered {answer.strip()[-200:]!r}; see its setup lines") from None
