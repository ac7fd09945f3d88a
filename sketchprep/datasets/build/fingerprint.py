"""What the bytes of a dataset depend on besides recipe and photos; resolved once, when a build is planned."""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from sketchprep.core import runtime
from sketchprep.core.config import differences
from sketchprep.datasets.build import passes
from sketchprep.errors import UserError
from sketchprep.sketching import stages

if TYPE_CHECKING:
    from sketchprep.sketching.recipe import Recipe

__all__ = ["check", "needed_assets", "resolve", "uses_network"]

LANDMARKS = "dlib-landmarks-68"
BATCH = {"cpu": 1, "cuda": 16}
# Distributions whose version can change a pixel, a landmark or the layout of a file, and who needs them.
PACKAGES = ("numpy", "opencv-python-headless", "pillow", "dlib-bin", "scikit-image", "pyarrow")


def uses_network(rec: Recipe) -> bool:
    """Whether any needed stage runs a network."""
    return any(stages.OPS[s.op].asset for s in rec.graph.values())


def needed_assets(rec: Recipe, part: str = passes.ALL) -> list[str]:
    """Names of the weights without which a recipe, or one pass of it, cannot run."""
    networks = (s for s in passes.graph(rec, part).values() if s.params.get("weights") is None)
    landmarks = () if part == passes.NETWORK else (LANDMARKS,)
    return sorted({*landmarks, *(a for s in networks if (a := stages.OPS[s.op].asset))})


def resolve(rec: Recipe, device: str = "auto", part: str = passes.ALL) -> dict[str, Any]:
    """Resolve device, CPU feature level, dtype, batch, threads and package versions for this machine.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``; auto takes a GPU only if a stage runs a network.
    part : str
        For one pass alone, see `passes.NAMES`: the first knows no network and no device.

    Returns
    -------
    dict
        Plain values; it enters the dataset's hash.

    Raises
    ------
    UserError
        If the device is not there.
    """
    network = uses_network(rec) and part != passes.CPU
    found = runtime.host(device=device, network=network)
    values: dict[str, Any] = {
        "device": found["device"],
        "cpu": found["cpu"],
        "threads": rec.threads,
        "packages": {name: _version(name) for name in (*PACKAGES, *(("torch",) if network else ()), "sketchprep")},
    }
    if network:
        where = runtime.resolve_device(device)
        values["dtype"] = runtime.resolve_dtype(rec.dtype, where)
        values["batch"] = rec.batch or BATCH[where.partition(":")[0]]
    values["weights"] = _weights(rec, passes.CPU if part == passes.CPU else passes.ALL)
    return values


def _weights(rec: Recipe, part: str) -> dict[str, str]:
    """Sha256 of every weights file that has a say, by asset or, for a user's own, by stage."""
    from sketchprep.core.weights_manifest import manifest

    sums = {name: manifest().weights[name].sha256 for name in needed_assets(rec, part)}
    for name, stage in passes.graph(rec, part).items():
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
