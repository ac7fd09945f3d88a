"""What a dataset's bytes depend on besides recipe and photos: device, CPU level, dtype, packages, weights."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.cluster import script, slurm
from sketchprep.core import runtime
from sketchprep.core.config import differences
from sketchprep.datasets.layout import stored_environment
from sketchprep.errors import UserError
from sketchprep.sketching import stages

if TYPE_CHECKING:
    from sketchprep.cluster.settings import Settings
    from sketchprep.sketching.recipe import Recipe

__all__ = ["check", "needed_assets", "resolve", "resolve_for_jobs", "uses_network"]

# The module that array tasks run, see `sketchprep.datasets.build.slurm_task`.
MODULE = "sketchprep.datasets.build"

DLIB = ("dlib-landmarks-68",)
MEDIAPIPE = ("mediapipe-face-detector", "mediapipe-face-mesh")
BATCH = {"cpu": 1, "cuda": 16}
# Distributions whose version can change a pixel, a landmark or the layout of a file, and who needs them.
PACKAGES = ("numpy", "opencv-python-headless", "pillow", "simplejpeg", "dlib-bin", "scikit-image", "pyarrow")


def uses_network(rec: Recipe) -> bool:
    """Whether any needed stage runs a network."""
    return any(stages.OPS[s.op].asset for s in rec.graph.values())


def needed_assets(rec: Recipe) -> list[str]:
    """Names of the weights without which a recipe cannot run."""
    networks = (s for s in rec.graph.values() if s.params.get("weights") is None)
    faces = MEDIAPIPE if rec.landmarks == "mediapipe" or rec.select.min_face_score is not None else ()
    landmarks = DLIB if rec.landmarks == "dlib" else ()
    return sorted({*landmarks, *faces, *(a for s in networks if (a := stages.OPS[s.op].asset))})


def resolve(rec: Recipe, device: str = "auto") -> dict[str, Any]:
    """Resolve device, CPU feature level, dtype, batch, threads and package versions for this machine.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``; auto takes a GPU only if a stage runs a network.

    Returns
    -------
    dict
        Plain values; it enters the dataset's hash.

    Raises
    ------
    UserError
        If the device is not there.
    """
    network = uses_network(rec)
    host = runtime.host(device=device, network=network)
    values: dict[str, Any] = {
        "device": host["device"],
        "cpu": host["cpu"],
        "threads": rec.threads,
        "packages": {name: _version(name) for name in (*PACKAGES, *(("torch",) if network else ()), "sketchprep")},
    }
    if network:
        where = runtime.resolve_device(device)
        values["dtype"] = runtime.resolve_dtype(rec.dtype, where)
        values["batch"] = rec.batch or BATCH[where.partition(":")[0]]
    values["weights"] = _weights(rec)
    return values


def _weights(rec: Recipe) -> dict[str, str]:
    """Sha256 of every weights file that has a say, by asset or, for a user's own, by stage."""
    from sketchprep.core.weights_manifest import manifest

    sums = {name: manifest().weights[name].sha256 for name in needed_assets(rec)}
    for name, stage in rec.graph.items():
        if stage.params.get("weights") is not None:
            with stages.weights_file(stage.op, stage.params).open("rb") as file:
                sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def check(planned: dict[str, Any], here: dict[str, Any]) -> None:
    """Refuse to work on a shard where this machine would make other bytes than the planning one.

    Raises
    ------
    UserError
        Naming what differs.
    """
    differing = differences(planned, here)
    if differing:
        raise UserError(
            f"this machine would make other bytes than the one that planned the dataset ({'; '.join(differing)}); "
            "run on a machine like it, or plan a new folder here with -o"
        )


def resolve_for_jobs(out: Path, rec: Recipe, device: str, settings: Settings) -> dict[str, Any]:
    """What the bytes depend on where Slurm jobs make them: as planned before, else resolved here or on their nodes.

    The submitting machine makes no bytes: its CPU and devices do not matter, its packages are the nodes' too.
    """
    slurm.demand()
    planned = stored_environment(out) or _ask(rec, device, settings)
    here = resolve(rec, "cpu")
    return {**planned, **{key: here[key] for key in ("packages", "weights", "threads")}}


def _ask(rec: Recipe, device: str, settings: Settings) -> dict[str, Any]:
    """Resolve here, or in a job of the tasks' kind, which waits in the queue."""
    if settings.planning == "here":
        return resolve(rec, device)
    question = json.dumps({"recipe": rec.canonical(), "device": device})
    work = script.on_node(settings, f"{script.module(settings, MODULE)} environment")
    answer = slurm.run(["srun", "--quiet", *settings.options(), "bash", "-c", work], question, seconds=None)
    for line in reversed(answer.splitlines()):  # a site's scripts may say more, before it or after it
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                return dict(json.loads(line))
    raise UserError(f"planning=node: the node answered {answer.strip()[-200:]!r}; see its setup lines")


def _version(name: str) -> str:
    for candidate in (name, *_EQUIVALENTS.get(name, ())):
        try:
            return importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


# Other distributions of the same modules, for people who installed those by hand.
_EQUIVALENTS = {
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "dlib-bin": ("dlib",),
}
