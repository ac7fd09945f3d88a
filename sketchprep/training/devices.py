"""Where a run computes: device, precision, threads and processes, through Lightning Fabric."""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sketchprep.core import runtime
from sketchprep.core.threads import limit_threads
from sketchprep.errors import UserError

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.plugins.environments import ClusterEnvironment

    from sketchprep.training.options import Options

__all__ = [
    "Launcher",
    "averaged",
    "detect_launcher",
    "first_process",
    "launch",
    "leave_together",
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
        limit_threads(options.threads)
    # Lightning's hint to use srun wherever it is installed; one process on such a machine is no mistake.
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    kind, _, index = options.device.partition(":")
    launcher = detect_launcher()
    if kind == "cuda" and (seen := torch.cuda.device_count()) < launcher.per_node:
        raise UserError(
            f"each of {launcher.per_node} processes on this node sees {seen} GPUs; it must see those of the others "
            "too: ask Slurm for --gpus-per-node, not --gpus-per-task, or start one process a GPU"
        )
    alone = kind == "cuda" and launcher.processes == 1
    fabric = Fabric(
        accelerator=kind,
        devices=[int(index or 0)] if alone else launcher.per_node,
        num_nodes=launcher.nodes,
        strategy="ddp" if launcher.processes > 1 else "auto",
        precision=FABRIC_PRECISION[options.precision],  # type: ignore[arg-type]
        plugins=[launcher.environment()],
    )
    fabric.launch()
    return fabric


def machine(fabric: Fabric) -> dict[str, Any]:
    """What the run computes on, for its records; it may be resumed on other hardware."""
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
        message = str(error)
        short = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in message
        if not short and "CUBLAS_STATUS_ALLOC_FAILED" not in message:
            raise
        raise UserError(_memory_sentence(options)) from None


def _memory_sentence(options: Options) -> str:
    where = f"{'memory' if options.device == 'cpu' else options.device}"
    if options.batch == 1:
        return f"{where} is too small for batch=1; choose a smaller picture size or preset"
    batch = max(b for b in range(1, options.batch // 2 + 1) if options.batch % b == 0)
    accumulate = options.accumulate * options.batch // batch
    return (
        f"{where} is too small for batch={options.batch}; resume with batch={batch} accumulate={accumulate}, "
        "which is the same step in smaller pieces"
    )


@dataclass(frozen=True)
class Launcher:
    """What started the processes of a run, and how many.

    Attributes
    ----------
    processes, nodes : int
    by : str
        ``"torchrun"``, ``"srun"``, or empty for a process of its own.
    """

    processes: int = 1
    nodes: int = 1
    by: str = ""

    @property
    def per_node(self) -> int:
        """Processes on each node."""
        return self.processes // self.nodes

    def environment(self) -> ClusterEnvironment:
        """Where Fabric reads the ranks; set explicitly, since Fabric takes any Slurm allocation for srun's work."""
        from lightning.fabric.plugins import environments

        if self.by == "torchrun":
            return environments.TorchElasticEnvironment()
        if self.by == "srun":
            # Fabric asks for it, but srun sets it only where the option was given.
            os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(self.per_node))
            return environments.SLURMEnvironment(auto_requeue=False)
        return environments.LightningEnvironment()


def detect_launcher() -> Launcher:
    """Detect torchrun or srun by their environment variables; a bare process in a Slurm allocation is alone.

    Raises
    ------
    UserError
        If nodes have different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        launcher = Launcher(_number("WORLD_SIZE"), _number("GROUP_WORLD_SIZE"), "torchrun")
    elif _number("SLURM_STEP_NUM_TASKS") > 1:
        launcher = Launcher(_number("SLURM_STEP_NUM_TASKS"), _number("SLURM_STEP_NUM_NODES"), "srun")
    else:
        return Launcher()
    if launcher.processes % launcher.nodes:
        raise UserError(
            f"{launcher.by} started {launcher.processes} processes on {launcher.nodes} nodes; start the same number on "
            "each, with --ntasks-per-node or --nproc-per-node"
        )
    return launcher


def first_process() -> bool:
    """Whether this process has global rank 0, the one that writes."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def leave_together() -> None:
    """Wait at a barrier for all processes of the run, then destroy the process group.

    torchrun and srun kill all processes as soon as one exits with an error code; and a collective operation whose peer
    is gone aborts.
    """
    if "torch" not in sys.modules:
        return
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 1
