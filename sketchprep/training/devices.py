"""Where a run computes: device, precision, processes and threads, through Lightning Fabric."""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sketchprep.core import runtime
from sketchprep.errors import UserError
from sketchprep.training import processes
from sketchprep.training.processes import first_process

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from sketchprep.training.options import Options

__all__ = [
    "averaged",
    "first_process",
    "launch",
    "machine",
    "memory_errors",
    "patient_threads",
    "peak_memory",
    "resolve",
]

FABRIC_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def patient_threads() -> None:
    """Let idle threads of torch's operations sleep rather than spin, if torch is not loaded yet.

    They share the cores with the processes that make batches; a spinning thread keeps those from working, and waits
    for itself: on two cores training was four times slower.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def resolve(options: Options) -> Options:
    """Replace ``auto`` by the device and the precision of this machine."""
    patient_threads()
    device = runtime.resolve_device(options.device)
    return options.model_copy(update={"device": device, "precision": runtime.resolve_dtype(options.precision, device)})


def launch(options: Options) -> Fabric:
    """Start Fabric: one process, or one of those that torchrun or srun started.

    Parameters
    ----------
    options : Options
        Resolved, see `resolve`.

    Raises
    ------
    UserError
        If the ``train`` extra is not installed.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError:
        raise UserError("training needs Lightning Fabric; install it with pip install 'sketchprep[train]'") from None
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    # Lightning's hint to use srun wherever it is installed; one process on such a machine is no mistake.
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    kind, _, index = options.device.partition(":")
    started = processes.started()
    if kind == "cuda" and (seen := torch.cuda.device_count()) < started.on_each_node:
        raise UserError(
            f"each of {started.on_each_node} processes on this node sees {seen} GPUs; it must see those of the others "
            "too: ask Slurm for --gpus-per-node, not --gpus-per-task, or start one process a GPU"
        )
    alone = kind == "cuda" and started.processes == 1
    fabric = Fabric(
        accelerator=kind,
        devices=[int(index or 0)] if alone else started.on_each_node,
        num_nodes=started.nodes,
        strategy="ddp" if started.processes > 1 else "auto",
        precision=FABRIC_PRECISION[options.precision],  # type: ignore[arg-type]
        plugins=[started.environment()],
    )
    fabric.launch()
    return fabric


def machine(fabric: Fabric) -> dict[str, Any]:
    """What the run computes on, for its records; a run may go on elsewhere."""
    import lightning
    import torch

    return {
        **runtime.host(network=True, device=str(fabric.device)),
        "processes": fabric.world_size,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "lightning": lightning.__version__,
    }


def peak_memory(fabric: Fabric) -> int:
    """Largest memory of this process so far in bytes: on the GPU what torch allocated, else what was resident."""
    if fabric.device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(fabric.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def averaged(fabric: Fabric, values: dict[str, float]) -> dict[str, float]:
    """Means over the processes, rounded for reading."""
    if fabric.world_size > 1 and values:
        import torch

        summed = fabric.all_reduce(torch.tensor(list(values.values()), device=fabric.device), reduce_op="mean")
        values = dict(zip(values, summed.tolist(), strict=True))  # type: ignore[union-attr]
    return {name: float(f"{value:.6g}") for name, value in values.items()}


@contextmanager
def memory_errors(options: Options) -> Iterator[None]:
    """Turn an allocation that failed, on a GPU or in memory, into one sentence with the batch to try."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        words = str(error)
        short = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in words
        if not short and "CUBLAS_STATUS_ALLOC_FAILED" not in words:
            raise
        raise UserError(_memory_sentence(options)) from None


def _memory_sentence(options: Options) -> str:
    where = f"{'memory' if options.device == 'cpu' else options.device}"
    if options.batch == 1:
        return f"{where} is too small for batch=1; choose a smaller picture size or preset"
    batch = max(b for b in range(1, options.batch // 2 + 1) if options.batch % b == 0)
    accumulate = options.accumulate * options.batch // batch
    return (
        f"{where} is too small for batch={options.batch}; go on with batch={batch} accumulate={accumulate}, "
        "which is the same step in smaller pieces"
    )
